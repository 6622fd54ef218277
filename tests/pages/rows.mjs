import assert from 'node:assert/strict';
import { Rows } from '../../src/pages/project/rows.js';
import { claim, report } from '../supabase_js/claims.mjs';

const insert = (row) => ({ eventType: 'INSERT', new: row, old: {} });
const update = (row) => ({ eventType: 'UPDATE', new: row, old: {} });
const remove = (id) => ({ eventType: 'DELETE', new: {}, old: { id } });

/** Rows whose reads are answered by hand, in the order in which they began. */
function scene() {
  const reads = [];
  const shown = [];
  const rows = new Rows(
    () => new Promise((resolve, reject) => reads.push({ resolve, reject })),
    (all) => shown.push(structuredClone(all)),
  );
  return { rows, reads, shown };
}

await claim('an update during a read is laid over what the read brings, column by column', async () => {
  const { rows, reads } = scene();
  const reading = rows.read();
  rows.change(update({ id: 1, status: 'completed' }));
  reads[0].resolve([{ id: 1, status: 'processing', prompt: 'long' }]);
  await reading;
  assert.deepEqual(rows.all, [{ id: 1, status: 'completed', prompt: 'long' }]);
});

await claim('an update that was on its way for long takes nothing back, before a read, in it or after it', async () => {
  const { rows, reads } = scene();
  const at = (second, status) => ({ id: 1, status, updated_at: `2026-11-25T10:00:0${second}+00:00` });
  const late = at('1', 'pending');
  const read = at('1.5', 'completed');
  const reading = rows.read();
  rows.change(update(late));
  reads[0].resolve([read]);
  await reading;
  assert.deepEqual(rows.all, [read]);
  rows.change(update(late));
  assert.deepEqual(rows.all, [read]);
  const next = at('2.25', 'pending');
  rows.change(update(next));
  rows.change(update(late));
  assert.deepEqual(rows.all, [next]);
  rows.wrote(1, { title: 'mine' });
  assert.deepEqual(rows.all, [{ ...next, title: 'mine' }]);
});

await claim('a row that goes during a read has gone after it, and one that comes is read', async () => {
  const { rows, reads } = scene();
  const reading = rows.read();
  rows.change(insert({ id: 2 }));
  rows.change(remove(1));
  reads[0].resolve([{ id: 1 }]);
  while (reads.length < 2) await Promise.resolve();
  assert.deepEqual(rows.all, [], 'what a change says of a row that is not here may be a part of it');
  reads[1].resolve([{ id: 2, prompt: 'long' }]);
  await reading;
  assert.deepEqual(rows.all, [{ id: 2, prompt: 'long' }]);
});

await claim('a row that is not here is shown when it has been read, whole', async () => {
  const { rows, reads, shown } = scene();
  rows.change(insert({ id: 1, status: 'pending' }), update({ id: 1, status: 'processing' }));
  assert.deepEqual([rows.all, shown, reads.length], [[], [], 1]);
  reads[0].resolve([{ id: 1, status: 'processing', slide_prompts: [] }]);
  while (rows.all.length === 0) await Promise.resolve();
  assert.deepEqual(shown, [[{ id: 1, status: 'processing', slide_prompts: [] }]]);
});

await claim('a change that is too large is laid over the row, and what it leaves out is read', async () => {
  const { rows, reads } = scene();
  const reading = rows.read();
  reads[0].resolve([{ id: 1, status: 'failed', error_code: 'internal', slide_prompts: ['long'] }]);
  await reading;
  rows.change({ ...update({ id: 1, status: 'pending' }), errors: ['Error 413: Payload Too Large'] });
  assert.deepEqual(rows.all, [{ id: 1, status: 'pending', error_code: 'internal', slide_prompts: ['long'] }]);
  assert.equal(reads.length, 2);
  const again = rows.read();
  reads[1].resolve([{ id: 1, status: 'pending', error_code: null, slide_prompts: ['long'] }]);
  while (reads.length < 3) await Promise.resolve();
  reads[2].resolve([{ id: 1, status: 'pending', error_code: null, slide_prompts: ['long'] }]);
  await again;
  assert.equal(rows.get(1).error_code, null);
});

await claim('an insert that is told late takes nothing back', async () => {
  const { rows, reads } = scene();
  const at = (second, status) => ({ id: 1, status, updated_at: `2026-11-25T10:00:0${second}+00:00` });
  const first = rows.read();
  rows.change(insert(at('1', 'pending')));
  reads[0].resolve([at('2', 'generating')]);
  await first;
  assert.equal(rows.get(1).status, 'generating');
  rows.change(insert(at('1', 'pending')));
  assert.equal(rows.get(1).status, 'generating');
  rows.change(update(at('3', 'completed')), update(at('2.5', 'failed')));
  assert.equal(rows.get(1).status, 'completed');
});

await claim('changes that a read overtakes count by their times, not by when they came', async () => {
  const { rows, reads } = scene();
  const at = (second, status) => ({ id: 1, status, updated_at: `2026-11-25T10:00:0${second}+00:00` });
  const reading = rows.read();
  rows.change(update(at('3', 'completed')), update(at('2', 'generating')));
  reads[0].resolve([at('1', 'pending')]);
  await reading;
  assert.equal(rows.get(1).status, 'completed');
});

await claim('who asks during a read gets another, and both have the answer of the last', async () => {
  const { rows, reads } = scene();
  const both = Promise.all([rows.read(), rows.read(), rows.read()]);
  reads[0].resolve([{ id: 1 }]);
  while (reads.length < 2) await Promise.resolve();
  reads[1].resolve([{ id: 2 }]);
  await both;
  assert.equal(reads.length, 2);
  assert.deepEqual(rows.all, [{ id: 2 }]);
});

await claim('a read that fails leaves what is there, and the next one is a new one', async () => {
  const { rows, reads } = scene();
  const failing = rows.read();
  reads[0].reject(new Error('no network'));
  await assert.rejects(failing, /no network/);
  assert.deepEqual([rows.all, rows.isRead], [[], false]);
  const reading = rows.read();
  reads[1].resolve([{ id: 3 }]);
  await reading;
  assert.deepEqual([rows.all, rows.isRead], [[{ id: 3 }], true]);
});

await claim('what is nothing is shown as nothing', () => {
  const { rows, shown } = scene();
  rows.change(update({}));
  rows.change(remove(7));
  rows.wrote(7, { is_favorite: true });
  assert.deepEqual([rows.all, shown], [[], []]);
});

report();
