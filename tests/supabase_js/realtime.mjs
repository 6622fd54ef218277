import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Told, listen, subscribe } from './changes.mjs';
import { claim, report } from './claims.mjs';
import { WebSocket, ask, connect, ok, person, submit, upload } from './deployment.mjs';

const JOBS = 'image_generation_jobs';
const [anna, bert] = await Promise.all([person(), person()]);
const source = await upload(anna);
const LATER = { run_at: '2100-01-01' };

/** Joins a channel and keeps the broadcasts that it hears. */
async function join({ client }, topic, broadcast = {}) {
  const channel = client.channel(topic, { config: { broadcast } });
  const told = new Told();
  channel.on('broadcast', { event: '*' }, (message) => told.tell(message));
  await subscribe(channel);
  return { channel, told, send: (event, payload) => channel.send({ type: 'broadcast', event, payload }) };
}

// First, because the database is being listened to from then on: until now a SUBSCRIBED would come too early.
await claim('a page may wait: SUBSCRIBED then says that changes come, CHANNEL_ERROR why they never will', async () => {
  const waiting = (table) => {
    const changes = new Told();
    const channel = anna.client.channel(randomUUID(), { config: { postgres_changes_options: { wait: true } } });
    channel.on('postgres_changes', { event: '*', schema: 'public', table }, (change) => changes.tell(change));
    return { channel, changes };
  };
  const { channel, changes } = waiting(JOBS);
  await subscribe(channel);
  const job = await submit(anna, { prompt: 'a cup', source_paths: [source], ...LATER });
  assert.deepEqual((await changes.until('it is heard of', ([first]) => first)).new, job);
  const { channel: deaf } = waiting('no_such_table');
  const { error } = await subscribe(deaf, 'CHANNEL_ERROR');
  assert.match(error.message, /^RealtimeDisabledForConfiguration: Unable to subscribe to changes/);
  await anna.client.removeChannel(deaf);
});

await claim('a broadcast reaches the others, and oneself only when that was asked for', async () => {
  const topic = randomUUID();
  const [one, two] = [await join(anna, topic), await join(bert, topic, { self: true })];
  assert.equal(await one.send('move', { x: 1 }), 'ok');
  await two.told.until('it is heard', ([first]) => first);
  assert.equal(await two.send('move', { x: 2 }), 'ok');
  await one.told.until('it is heard', ([first]) => first);
  await two.told.until('its own comes back', ({ length }) => length === 2);
  const payloads = ({ told }) => told.all.map(({ type, event, payload }) => [type, event, payload]);
  assert.deepEqual(payloads(one), [['broadcast', 'move', { x: 2 }]]);
  assert.deepEqual(payloads(two), [
    ['broadcast', 'move', { x: 1 }],
    ['broadcast', 'move', { x: 2 }],
  ]);
});

await claim('with acknowledgements a send ends when the server has it', async () => {
  const topic = randomUUID();
  const [one, two] = [await join(anna, topic, { ack: true }), await join(bert, topic)];
  assert.equal(await one.send('move', { x: 1 }), 'ok');
  await two.told.until('it is heard', ([first]) => first);
});

await claim('bytes are broadcast as they are', async () => {
  const topic = randomUUID();
  const [one, two] = [await join(anna, topic), await join(bert, topic)];
  await one.send('bytes', Uint8Array.from([0, 255, 10]).buffer);
  const { payload } = await two.told.until('they are heard', ([first]) => first);
  assert.deepEqual([...new Uint8Array(payload)], [0, 255, 10]);
});

await claim('a broadcast is sent without a connection, by HTTP', async () => {
  const topic = randomUUID();
  const heard = await join(bert, topic);
  const channel = connect().channel(topic);
  assert.deepEqual(await channel.httpSend('move', { x: 1 }), { success: true });
  const { event, payload } = await heard.told.until('it is heard', ([first]) => first);
  assert.deepEqual([event, payload], ['move', { x: 1 }]);
});

await claim('clients of both versions of the protocol understand each other', async () => {
  const topic = randomUUID();
  const old = await person({ realtime: { vsn: '1.0.0' } });
  const [one, two] = [await join(old, topic), await join(anna, topic)];
  await one.send('move', { x: 1 });
  await two.told.until('the new one hears', ([first]) => first?.payload.x === 1);
  await two.send('move', { x: 2 });
  await one.told.until('the old one hears', ([first]) => first?.payload.x === 2);
  const told = await listen(old.client, { table: JOBS });
  const job = await submit(old, { prompt: 'a cup', source_paths: [await upload(old)], ...LATER });
  assert.deepEqual((await told.until('its row is heard of', ([first]) => first)).new, job);
});

await claim('a private channel without a policy lets nobody in, whether signed in or not', async () => {
  for (const client of [anna.client, connect()]) {
    const topic = randomUUID();
    const channel = client.channel(topic, { config: { private: true } });
    const { error } = await subscribe(channel, 'CHANNEL_ERROR');
    assert.equal(error.message, `Unauthorized: You do not have permissions to read from this Channel topic: ${topic}`);
    await client.removeChannel(channel);
    const sent = connect()
      .channel(topic, { config: { private: true } })
      .httpSend('move', { x: 1 });
    await assert.rejects(sent, /^Error: Unauthorized$/);
  }
});

await claim('people see each other come and go', async () => {
  const topic = randomUUID();
  const present = async ({ client }, key) => {
    const channel = client.channel(topic, { config: { presence: { key } } });
    const told = new Told();
    for (const event of ['sync', 'join', 'leave']) {
      channel.on('presence', { event }, (message) => told.tell({ ...message, event }));
    }
    await subscribe(channel);
    return { channel, told };
  };
  const [one, two] = [await present(anna, 'anna'), await present(bert, 'bert')];
  assert.equal(await one.channel.track({ at: 'the grid' }), 'ok');
  const joined = await two.told.until('Anna comes', (all) => all.find(({ event }) => event === 'join'));
  assert.deepEqual([joined.key, joined.newPresences[0].at], ['anna', 'the grid']);
  assert.equal(await two.channel.track({ at: 'a slide' }), 'ok');
  await one.told.until('Bert comes', (all) => all.find(({ event, key }) => event === 'join' && key === 'bert'));
  assert.deepEqual(Object.keys(one.channel.presenceState()).toSorted(), ['anna', 'bert']);
  assert.equal(await two.channel.untrack(), 'ok');
  await one.told.until('Bert goes', (all) => all.find(({ event, key }) => event === 'leave' && key === 'bert'));
  await bert.client.removeChannel(two.channel);
  const third = await present(bert, 'bert');
  await third.told.until('who comes late sees who is there', (all) => all.find(({ event }) => event === 'sync'));
  assert.deepEqual(Object.keys(third.channel.presenceState()), ['anna']);
  await anna.client.removeChannel(one.channel);
  await third.told.until('Anna goes', (all) => all.find(({ event, key }) => event === 'leave' && key === 'anna'));
});

await claim('events, filters and columns are chosen by the client', async () => {
  const columns = await listen(anna.client, { table: JOBS, event: 'UPDATE', select: ['id', 'title'] });
  const chosen = await listen(anna.client, { table: JOBS, filter: 'title=in.(One,Two)' });
  const inserts = await listen(anna.client, { table: JOBS, event: 'INSERT', filter: 'priority=gte.10' });
  const job = await submit(anna, { prompt: 'a cup', title: 'None', source_paths: [source], ...LATER, priority: 9 });
  for (const title of ['One', 'Three']) await ok(anna.client.from(JOBS).update({ title }).eq('id', job.id));
  const last = await submit(anna, { prompt: 'a cup', title: 'Two', source_paths: [source], ...LATER, priority: 10 });
  await ok(anna.client.from(JOBS).update({ title: 'Four' }).eq('id', last.id));
  await columns.until('all is heard of', ({ length }) => length === 3);
  assert.deepEqual(
    columns.all.map(({ new: row }) => row),
    [
      { id: job.id, title: 'One' },
      { id: job.id, title: 'Three' },
      { id: last.id, title: 'Four' },
    ],
  );
  await inserts.until('the second job is heard of', ([first]) => first);
  assert.deepEqual(
    inserts.all.map(({ new: row }) => row),
    [last],
  );
  assert.deepEqual(
    chosen.all.map(({ eventType, new: row }) => [eventType, row.title]),
    [
      ['UPDATE', 'One'],
      ['INSERT', 'Two'],
    ],
  );
});

await claim('a channel that is left says CLOSED and hears nothing more', async () => {
  const told = await listen(anna.client, { table: JOBS });
  const channel = anna.client.channel(randomUUID());
  const { statuses } = await subscribe(channel);
  assert.equal(await anna.client.removeChannel(channel), 'ok');
  await statuses.until('it is closed', (all) => all.find(({ status }) => status === 'CLOSED'));
  assert.deepEqual(
    statuses.all.map(({ status }) => status),
    ['SUBSCRIBED', 'CLOSED'],
  );
  assert.equal(await told.channel.unsubscribe(), 'ok');
  const other = await listen(anna.client, { table: JOBS });
  await submit(anna, { prompt: 'a cup', source_paths: [source], ...LATER });
  await other.until('the marker is heard of', ([first]) => first);
  assert.deepEqual(told.all, []);
});

await claim('after a lost connection a page refetches at SUBSCRIBED and misses nothing', async () => {
  const network = { up: true, sockets: [] };
  // A connection that a test can cut: until the network is up again, new ones lead nowhere.
  class Cable extends WebSocket {
    constructor(address, protocols) {
      super(network.up ? address : 'ws://127.0.0.1:1', protocols);
      network.sockets.push(this);
    }
  }
  const me = await person({ realtime: { transport: Cable, reconnectAfterMs: () => 20 } });
  const other = connect();
  await ok(other.auth.setSession((await ok(me.client.auth.getSession())).session));
  const witness = await listen(other, { table: JOBS });
  const paths = [await upload(me)];
  const page = new Told();
  const channel = me.client.channel('page');
  channel.on('postgres_changes', { event: '*', schema: 'public', table: JOBS }, ({ new: row }) =>
    page.tell({ heard: row.title }),
  );
  channel.on('system', {}, ({ extension, status }) => page.tell({ [extension]: status }));
  channel.subscribe(async (status) => {
    page.tell({ status });
    if (status !== 'SUBSCRIBED') return;
    const rows = await ok(me.client.from(JOBS).select('title').order('created_at'));
    page.tell({ fetched: rows.map(({ title }) => title) });
  });
  const add = (title) => submit(me, { prompt: 'a cup', title, source_paths: paths, ...LATER });
  const times = (test) => page.all.filter(test).length;
  const listening = (count) => () => times((entry) => entry.postgres_changes === 'ok') === count;
  await page.until('the page listens', listening(1));
  await add('before');
  await page.until('the first is heard of', () => times(({ heard }) => heard === 'before'));

  network.up = false;
  network.sockets.at(-1).terminate();
  await page.until('the page knows', () => times(({ status }) => status === 'CHANNEL_ERROR'));
  await add('meanwhile');
  await witness.until('the server has passed it on', (all) => all.find(({ new: row }) => row.title === 'meanwhile'));
  network.up = true;
  await page.until('the page listens again', listening(2));
  await page.until('what was missed is fetched', () => times(({ fetched }) => fetched?.join() === 'before,meanwhile'));
  await add('after');
  await page.until('the last is heard of', () => times(({ heard }) => heard === 'after'));
  assert.deepEqual(
    page.all.flatMap(({ heard }) => heard ?? []),
    ['before', 'after'],
  );
});

await claim('a channel ends with its token, and goes on with a new one', async () => {
  const { claims } = await ok(anna.client.auth.getClaims());
  const { session } = await ok(anna.client.auth.getSession());
  const soon = await ask('sign', { claims: { ...claims, exp: Math.floor(Date.now() / 1000) + 3 } });
  let renewed = soon;
  const [one, two] = [async () => soon, async () => renewed].map((accessToken) => connect(undefined, { accessToken }));
  // A channel that is joined before its client has a token joins without one.
  await Promise.all([one.realtime.setAuth(), two.realtime.setAuth()]);
  const [ending, lasting] = [await listen(one, { table: JOBS }), await listen(two, { table: JOBS })];
  renewed = session.access_token;
  await two.realtime.setAuth();

  await ending.statuses.until('it is closed', (all) => all.find(({ status }) => status === 'CLOSED'));
  const { status, message } = ending.system.all.at(-1);
  assert.equal(status, 'error');
  assert.match(message, /^Token has expired \d+ seconds ago$/);
  const job = await submit(anna, { prompt: 'a cup', source_paths: [source], ...LATER });
  assert.deepEqual((await lasting.until('it is heard of', ([first]) => first)).new, job);
});

report();
