// The test that runs a script: what it tells at the start, and what it can be asked; see script.rs.

import { createInterface } from 'node:readline';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => JSON.parse((await lines.next()).value);

/** `url`, `publishableKey`, `secretKey`, `photos`. */
export const deployment = await read();
deployment.photos = deployment.photos.map(({ base64, ...photo }) => ({
  ...photo,
  bytes: Buffer.from(base64, 'base64'),
}));

/** Asks the test for what a browser can't do; see `answer` in script.rs. One question at a time. */
export async function ask(what, details = {}) {
  process.stdout.write(`${JSON.stringify({ ask: what, ...details })}\n`);
  return read();
}
