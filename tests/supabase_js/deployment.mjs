// The deployment that a script runs against, and the people in it.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { deployment } from './talk.mjs';

export { ask, deployment } from './talk.mjs';

// The packages live outside the repository, where module resolution would not look for them.
const require = createRequire(process.env.CAROUSEL_PACKAGES);
const { createClient } = require('@supabase/supabase-js');
export const WebSocket = require('ws');

export const BUCKET = 'generated-carousels';
export const PASSWORD = 'correct horse';

/** A client with nobody signed in. Options are supabase-js's own, a level deep. */
export function connect(key = deployment.publishableKey, { auth, realtime, ...options } = {}) {
  return createClient(deployment.url, key, {
    ...options,
    // No two clients share a session, and nothing runs in the background.
    auth: { persistSession: false, autoRefreshToken: false, storageKey: randomUUID(), ...auth },
    // Node has a WebSocket of its own only from version 22.
    realtime: { transport: WebSocket, ...realtime },
  });
}

/** A new person who is signed in: `client`, `id`, `email`. */
export async function person(options) {
  const client = connect(deployment.publishableKey, options);
  const email = `${randomUUID()}@example.com`;
  const { data, error } = await client.auth.signUp({ email, password: PASSWORD });
  assert.ifError(error);
  return { client, id: data.user.id, email, bucket: client.storage.from(BUCKET) };
}

/** Uploads a photo under the person's `sources/` and gives its path. */
export async function upload({ bucket, id }, photo = deployment.photos[0]) {
  const path = `${id}/sources/${randomUUID()}-${photo.name}`;
  const { error } = await bucket.upload(path, photo.bytes, { contentType: photo.mime });
  assert.ifError(error);
  return path;
}

/** Inserts a job as a page does and gives its row. */
export async function submit({ client }, job) {
  const { data, error } = await client.from('image_generation_jobs').insert(job).select().single();
  assert.ifError(error);
  return data;
}

/** What came of a request that must succeed. */
export async function ok(request) {
  const { data, error } = await request;
  assert.ifError(error);
  return data;
}
