// Addresses of private objects. Rows hold paths; a path is signed when its picture is to be shown.

import { bucket, ok } from './client.js';

/** Seconds that an address holds, and those after which another is asked for. */
const [HOLDS, KEPT] = [3600, 3000];
/** Storage signs so many addresses in one request. */
const AT_ONCE = 1000;

const known = new Map();
let wanted = new Map();

/** The address of an object. All that are asked for in one go are signed together. */
export function signed(path) {
  const now = Date.now() / 1000;
  const old = known.get(path);
  if (old && now - old.since < KEPT) return old.url;
  if (wanted.size === 0) setTimeout(signAll);
  const url = new Promise((resolve, reject) => wanted.set(path, { resolve, reject }));
  known.set(path, { url, since: now });
  // What could not be signed is asked for again.
  url.catch(() => known.delete(path));
  return url;
}

async function signAll() {
  const asked = [...wanted];
  wanted = new Map();
  for (let at = 0; at < asked.length; at += AT_ONCE) await signSome(new Map(asked.slice(at, at + AT_ONCE)));
}

async function signSome(asked) {
  try {
    const answers = await ok(bucket.createSignedUrls([...asked.keys()], HOLDS));
    for (const { path, signedUrl, error } of answers) {
      const { resolve, reject } = asked.get(path);
      if (signedUrl) resolve(signedUrl);
      else reject(new Error(error ?? 'it is not there'));
    }
  } catch (error) {
    for (const { reject } of asked.values()) reject(error);
  }
}
