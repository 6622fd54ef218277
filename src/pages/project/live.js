// Keeps rows as they are in the database: told by Realtime, and read whenever something may have been missed.

import { supabase } from './client.js';

/** Milliseconds between looks: while something is expected to change or nobody listens, and else. Realtime promises no delivery: rows are the truth. */
const [LOOK, RARELY] = [10_000, 60_000];

/** Milliseconds until a channel that was closed is joined anew, at first and at most; a channel that held for the longer one begins again. */
const [SOON, LATE] = [1_000, 30_000];

/**
 * Follows `parts`, each `{ table, filter, rows }`, until the page goes. `isExpecting` tells whether changes are to come, and `tell` gets `null`
 * after each good read, else what went wrong.
 *
 * A part with `event` and `isMine` is also told of on the person's own channel, by messages of that event whose rows are the part's. That channel costs
 * the database the same however many people watch. Where one part has none, or the project no such channels, the tables are listened to instead, each
 * with its filter.
 *
 * The rows are read when the channel says SUBSCRIBED, at first and after each reconnect; once more when the server says that it listens to the
 * database, which is later: what changes in between is told to nobody; when the page is looked at again; and at times. That is also how a row goes
 * that was deleted where a table is listened to by another column than its primary key: of a delete nothing else is told.
 */
export function follow(user, parts, { isExpecting, tell }) {
  let [isWell, isListening, readAt] = [false, false, 0];
  const read = async () => {
    readAt = Date.now();
    try {
      await Promise.all(parts.map(({ rows }) => rows.read()));
      isWell = true;
      tell(null);
    } catch (error) {
      isWell = false;
      tell(error);
    }
  };

  let isOwn = parts.every(({ event }) => event);
  let [channel, wait, joinedAt] = [null, SOON, 0];
  const join = () => {
    const joining = isOwn ? ownChannel(user, parts) : channelOfTables(parts);
    channel = joining;
    joining.on('system', {}, ({ extension, status }) => {
      if (!isOwn && extension !== 'postgres_changes') return;
      isListening = status === 'ok';
      if (isListening) read();
    });
    joining.subscribe((status, error) => {
      if (joining !== channel) return;
      isListening = isOwn && status === 'SUBSCRIBED';
      if (status === 'SUBSCRIBED') {
        joinedAt = Date.now();
        read();
      } else if (status === 'CLOSED') {
        // supabase-js joins again after an error and after a lost connection, but not after this.
        if (joinedAt && Date.now() - joinedAt > LATE) wait = SOON;
        joinedAt = 0;
        setTimeout(join, wait * (0.5 + Math.random() / 2));
        wait = Math.min(2 * wait, LATE);
      } else if (isOwn && /unauthorized/i.test(error?.message)) {
        isOwn = false;
        channel = null;
        supabase.removeChannel(joining);
        join();
      }
    });
  };
  // Before its token is known, a person is nobody, and nobody has a channel.
  supabase.realtime.setAuth().finally(join);

  // A page that Realtime can't reach works as well.
  read();
  setInterval(() => {
    const isSoon = !isWell || !isListening || isExpecting();
    if (!document.hidden && (isSoon || Date.now() - readAt >= RARELY)) read();
  }, LOOK);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) read();
  });
}

function ownChannel({ id }, parts) {
  const config = { private: true, broadcast: { replication_ready: true } };
  const channel = supabase.channel(`carousel:${id}`, { config });
  return channel.on('broadcast', { event: '*' }, ({ event, payload }) => {
    for (const { rows, ...part } of parts) {
      if (part.event === event) rows.change(...payload.rows.filter(part.isMine).map(asChange));
    }
  });
}

const asChange = (row) => (row.deleted ? { eventType: 'DELETE', old: row } : { eventType: 'UPDATE', new: row });

function channelOfTables(parts) {
  const channel = supabase.channel(`pages-${crypto.randomUUID()}`);
  for (const { table, filter, rows } of parts) {
    channel.on('postgres_changes', { event: '*', schema: 'public', table, filter }, (change) => rows.change(change));
  }
  return channel;
}
