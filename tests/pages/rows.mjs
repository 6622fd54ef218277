import assert from 'node:assert/strict';
import { Rows, isOlder } from '../../src/local/pages/project/rows.js';
import { claim, report } from '../supabase_js/claims.mjs';

const insert = (row) => ({ eventType: 'INSERT', new: row, old: {} });
const update = (row) => ({ eventType: 'UPDATE', new: row, old: {} });
const remove = (id) => ({ eventType: 'DELETE', new: {}, old: { id } });

/** Rows whose reads are answered by hand, in the order in which they began. */
function scene(older) {
  const reads = [];
  const shown = [];
  const rows = new Rows(
    () => new Promise((resolve, reject) => reads.push({ resolve, reject })),
    (all) => shown.push(structuredClone(all)),
    older,
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
  const { rows, reads } = scene(isOlder);
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

await claim('a row that comes or goes during a read has come or gone after it', async () => {
  const { rows, reads } = scene();
  const reading = rows.read();
  rows.change(insert({ id: 2 }));
  rows.change(remove(1));
  reads[0].resolve([{ id: 1 }]);
  await reading;
  assert.deepEqual(rows.all, [{ id: 2 }]);
});

await claim('an insert that is told late takes nothing back', async () => {
  const { rows, reads } = scene();
  const first = rows.read();
  rows.change(insert({ id: 1, status: 'pending' }));
  reads[0].resolve([{ id: 1, status: 'generating' }]);
  await first;
  assert.equal(rows.get(1).status, 'generating');
  rows.change(insert({ id: 1, status: 'pending' }));
  assert.equal(rows.get(1).status, 'generating');
  rows.change(update({ id: 1, status: 'completed' }));
  assert.equal(rows.get(1).status, 'completed');
});

await claim('a row that goes and comes again is the new one', async () => {
  const { rows, reads } = scene();
  const reading = rows.read();
  rows.change(update({ id: 1, status: 'failed' }));
  rows.change(remove(1));
  rows.change(insert({ id: 1, status: 'pending' }));
  assert.deepEqual(rows.all, [{ id: 1, status: 'pending' }]);
  reads[0].resolve([{ id: 1, status: 'completed' }]);
  await reading;
  assert.deepEqual(rows.all, [{ id: 1, status: 'pending' }]);
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
  rows.change(insert({ id: 1 }));
  const failing = rows.read();
  reads[0].reject(new Error('no network'));
  await assert.rejects(failing, /no network/);
  assert.deepEqual([rows.all, rows.isRead], [[{ id: 1 }], false]);
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
