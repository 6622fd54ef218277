// What Realtime tells a client, kept in order, and ways to wait for it.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';

/** How long an event may take to come, in milliseconds. */
const PATIENCE = 60_000;

/** Things that were told, in order. */
export class Told {
  all = [];
  #waiting = new Set();

  tell(thing) {
    this.all.push(thing);
    for (const look of this.#waiting) look();
  }

  /** Waits until `find`, which sees all that was told, gives something, and gives that. `what` names it for the error. */
  until(what, find) {
    return new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        this.#waiting.delete(look);
      };
      const look = () => {
        try {
          const found = find(this.all);
          if (!found) return;
          stop();
          resolve(found);
        } catch (error) {
          stop();
          reject(error);
        }
      };
      const timer = setTimeout(() => {
        stop();
        reject(new Error(`waited in vain until ${what}; so far: ${inspect(this.all, { depth: 4 })}`));
      }, PATIENCE);
      this.#waiting.add(look);
      look();
    });
  }
}

/** Subscribes and waits for a status, which it gives with its error: `{ status, error, statuses }`. */
export async function subscribe(channel, wanted = 'SUBSCRIBED') {
  const statuses = new Told();
  channel.subscribe((status, error) => statuses.tell({ status, error }));
  const found = await statuses.until(`the channel is ${wanted}`, (all) => all.find(({ status }) => status === wanted));
  return { ...found, statuses };
}

/**
 * Listens to changes of tables: `topics` are `{ table, filter, event }`. Resolves when the database is being listened to, which is
 * later than the channel's SUBSCRIBED. Gives the changes, as `Told`, with their `channel` and what is told about that: its `statuses`
 * and its `system` messages.
 */
export async function listen(client, ...topics) {
  const { changes, answer } = await tryToListen(client, topics);
  assert.equal(answer.status, 'ok', answer.message);
  return changes;
}

/** Listens to what must not be listened to, and gives the reason that is told. */
export async function refusedListening(client, ...topics) {
  const { changes, answer } = await tryToListen(client, topics);
  assert.equal(answer.status, 'error', 'it was allowed');
  await client.removeChannel(changes.channel);
  return answer.message;
}

async function tryToListen(client, topics) {
  const [changes, system] = [new Told(), new Told()];
  const channel = client.channel(`changes-${randomUUID()}`);
  for (const topic of topics) {
    const wanted = { event: '*', schema: 'public', ...topic };
    channel.on('postgres_changes', wanted, (change) => changes.tell(change));
  }
  channel.on('system', {}, (message) => system.tell(message));
  const { statuses } = await subscribe(channel);
  const answer = await system.until('the database has been asked', (all) =>
    all.find(({ extension }) => extension === 'postgres_changes'),
  );
  return { changes: Object.assign(changes, { channel, statuses, system }), answer };
}
