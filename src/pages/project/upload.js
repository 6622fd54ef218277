// Puts a photo into the person's own folder, byte for byte, and tells how far it is.

import { bucket, config, ok, supabase } from './client.js';

const KINDS = { 'image/png': 'png', 'image/jpeg': 'jpg', 'image/webp': 'webp' };
const MOST = 50 * 1024 * 1024;

/** What a file chooser may offer. */
export const ACCEPTED = Object.keys(KINDS).join(',');

/** Why a file can't be a source, in words; nothing when it can. */
export function fault(file) {
  if (!KINDS[file.type]) return 'This is no PNG, JPEG or WebP picture.';
  if (file.size > MOST) return `This has ${Math.ceil(file.size / 1048576)} MB; a photo may have 50.`;
  if (file.size === 0) return 'This file is empty.';
  return null;
}

/**
 * Uploads and gives the path. `progress` gets shares from 0 to 1; `signal` ends it. supabase-js's own `upload` does the same request without telling
 * how far it is.
 */
export async function upload(file, { progress, signal }) {
  const { session } = await ok(supabase.auth.getSession());
  const path = `${session.user.id}/sources/${crypto.randomUUID()}.${KINDS[file.type]}`;
  // So that it goes after a day if nothing comes of it.
  await ok(supabase.from('carousel_uploads').insert({ path }));
  const request = new XMLHttpRequest();
  request.open('POST', `${config.url}/storage/v1/object/generated-carousels/${path}`);
  request.setRequestHeader('apikey', config.publishable_key);
  request.setRequestHeader('authorization', `Bearer ${session.access_token}`);
  request.setRequestHeader('content-type', file.type);
  request.setRequestHeader('cache-control', 'max-age=31536000');
  request.upload.addEventListener('progress', ({ loaded, total }) => progress(loaded / total));
  signal.addEventListener('abort', () => request.abort());
  await new Promise((resolve, reject) => {
    request.addEventListener('load', () => (request.status < 300 ? resolve() : reject(refused(request.responseText))));
    request.addEventListener('error', () => reject(new TypeError('Failed to fetch')));
    request.addEventListener('abort', () => reject(new DOMException('Stopped', 'AbortError')));
    request.send(file);
  });
  return path;
}

/** Removes an uploaded photo that nothing uses. */
export function discard(path) {
  return ok(bucket.remove([path]));
}

function refused(answer) {
  try {
    const { message, statusCode } = JSON.parse(answer);
    return Object.assign(new Error(message), { statusCode });
  } catch {
    return new Error('Storage gave an answer that makes no sense');
  }
}
