// Keeps rows as they are in the database: told by Realtime, and read whenever something may have been missed.

import { supabase } from './client.js';

/** Milliseconds between looks while something is expected to change. Realtime promises no delivery: rows are the truth. */
const LOOK = 10_000;

/**
 * Follows `parts`, each `{ table, filter, rows }`, until the page goes. `isExpecting` tells whether changes are to come, and `tell` gets `null`
 * after each good read, else what went wrong.
 *
 * The rows are read when the channel says SUBSCRIBED, at first and after each reconnect; once more when the server says that it listens to the
 * database, which is later: what changes in between is told to nobody; when the page is looked at again; and at times while changes are expected or
 * nobody listens. That is also how a deleted row goes where the filter is not its primary key: of a delete nothing else is told.
 */
export function follow(parts, { isExpecting, tell }) {
  let [isWell, isListening] = [false, false];
  const read = async () => {
    try {
      await Promise.all(parts.map(({ rows }) => rows.read()));
      isWell = true;
      tell(null);
    } catch (error) {
      isWell = false;
      tell(error);
    }
  };
  const channel = supabase.channel(`pages-${crypto.randomUUID()}`);
  for (const { table, filter, rows } of parts) {
    channel.on('postgres_changes', { event: '*', schema: 'public', table, filter }, (change) => rows.change(change));
  }
  channel.on('system', {}, ({ extension, status }) => {
    if (extension !== 'postgres_changes') return;
    isListening = status === 'ok';
    if (isListening) read();
  });
  channel.subscribe((status) => {
    if (status === 'SUBSCRIBED') read();
    else isListening = false;
  });
  // A page that Realtime can't reach works as well.
  read();
  setInterval(() => {
    if (!document.hidden && (!isWell || !isListening || isExpecting())) read();
  }, LOOK);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) read();
  });
}
