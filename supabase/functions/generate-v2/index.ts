// Supabase Edge Function: puts a job into the queue as its caller, and answers as POST /api/image-generator/generate-v2 of the HTTP API does.
// With it, and a worker anywhere, nothing of carousel needs a public address.
//
// Deploy it with: supabase functions deploy generate-v2
//
// It holds no key but the publishable one. Photos are not sent through it: they go to Storage first, and the job names their paths.

import { Problem } from './problem.ts';
import { insertJob } from './project.ts';
import { idempotencyKey, newJob, token } from './request.ts';

// Tokens come in a header, never in a cookie: any page may call, and none gets more than its caller's rows.
const CORS = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'location, retry-after, idempotency-replayed',
};
// An answer is its caller's alone: no cache keeps it, and nothing takes it for a page.
const ALONE = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
const PREFLIGHT = {
  'access-control-allow-methods': 'POST, OPTIONS',
  'access-control-allow-headers': 'authorization, apikey, content-type, idempotency-key, x-client-info',
  'access-control-max-age': '3600',
};

async function accept(request: Request): Promise<Response> {
  if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers: PREFLIGHT });
  if (request.method !== 'POST') {
    throw new Problem(405, 'method_not_allowed', 'there is such a thing, but not this method');
  }
  const caller = token(request.headers);
  const key = idempotencyKey(request.headers);
  const { job, replayed } = await insertJob(caller, await newJob(request), key);
  // Where the job can be read, seen from the address that was called.
  const headers = new Headers({ location: `/rest/v1/image_generation_jobs?id=eq.${job.id}` });
  if (replayed) headers.set('idempotency-replayed', 'true');
  return Response.json(job, { status: 202, headers });
}

Deno.serve(async (request) => {
  const answer = await accept(request).catch((failure) => {
    if (failure instanceof Problem) return failure.answer();
    console.error('the function failed:', failure instanceof Error ? failure.name : 'no error');
    return new Problem(500, 'internal', 'the function failed; its log says how').answer();
  });
  for (const [name, value] of Object.entries({ ...CORS, ...ALONE })) answer.headers.set(name, value);
  return answer;
});
