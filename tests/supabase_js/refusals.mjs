// Refusals as supabase-js shows them.

import assert from 'node:assert/strict';

/** A request to the rows' API that must be refused with this HTTP status, code, and words. Gives the error. */
export async function refused(request, status, code, words = /./) {
  const answer = await request;
  assert.ok(answer.error, `it was allowed: ${JSON.stringify(answer.data)}`);
  const { error } = answer;
  assert.deepEqual([answer.data, answer.status, error.code], [null, status, code], JSON.stringify(error));
  assert.match(error.message, words);
  return error;
}

/** A request that must find nothing, without an error: what policies hide isn't there. */
export async function nothing(request) {
  const { data, error, status } = await request;
  assert.deepEqual([error, data, status], [null, [], 200]);
}

/** A request to Storage that must be refused. The HTTP status is nearly always 400; what is meant stands in `statusCode`. */
export async function refusedFile(request, statusCode, words = /./) {
  const { data, error } = await request;
  assert.ok(error, `it was allowed: ${JSON.stringify(data)}`);
  assert.deepEqual(
    [data, error.name, error.status, error.statusCode],
    [null, 'StorageApiError', 400, statusCode],
    error.message,
  );
  assert.match(error.message, words);
}
