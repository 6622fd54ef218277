import assert from 'node:assert/strict';
import { Told, listen, refusedListening, subscribe } from './changes.mjs';
import { claim, report } from './claims.mjs';
import { ask, connect, ok, person, submit, upload } from './deployment.mjs';

const [anna, bert] = await Promise.all([person(), person()]);
const nobody = connect();
const JOBS = 'image_generation_jobs';
const LATER = '2100-01-01';

await claim("a subscription to another person's rows hears nothing of them", async () => {
  const tables = [JOBS, 'generated_carousel_images', 'image_generation_templates'];
  const mine = { table: JOBS, filter: `user_id=eq.${bert.id}` };
  const heard = await Promise.all([
    listen(bert.client, ...tables.map((table) => ({ table }))),
    listen(bert.client, ...tables.map((table) => ({ table, filter: `user_id=eq.${anna.id}` })), mine),
    listen(bert.client, { schema: 'public' }, { schema: '*', table: '*' }),
  ]);
  const hers = await listen(anna.client, ...tables.map((table) => ({ table })));
  const { id } = await submit(anna, { prompt: 'a second cup', source_paths: [await upload(anna)] });
  await hers.until('Anna hears of all', (all) =>
    all.find(({ new: row }) => row.id === id && row.status === 'completed'),
  );
  // Changes come in order: when Bert hears of his own, Anna's have been passed over.
  const marker = await submit(bert, { prompt: 'his', source_paths: [await upload(bert)], run_at: LATER });
  for (const [index, changes] of heard.entries()) {
    await changes.until(`Bert hears of his own (${index})`, (all) => all.find(({ new: row }) => row.id === marker.id));
    const owners = changes.all.map(({ new: row }) => row.user_id);
    assert.deepEqual([...new Set(owners)], [bert.id]);
  }
});

await claim(
  "of another person's delete only the key is told, and only to those who filter by nothing else",
  async () => {
    const { id } = await submit(anna, { prompt: 'a cup', source_paths: [await upload(anna)], run_at: LATER });
    const all = await listen(bert.client, { table: JOBS });
    const byUser = { table: JOBS, filter: `user_id=eq.${anna.id}` };
    const filtered = await listen(bert.client, byUser, { table: JOBS, event: 'INSERT' });
    await ok(anna.client.from(JOBS).delete().eq('id', id));
    const change = await all.until('it is heard of', ([first]) => first);
    assert.deepEqual([change.eventType, change.new, change.old], ['DELETE', {}, { id }]);
    const marker = await submit(bert, { prompt: 'his', source_paths: [await upload(bert)], run_at: LATER });
    await filtered.until('Bert hears of his own', ([first]) => first);
    assert.deepEqual(
      filtered.all.map(({ new: row }) => row.id),
      [marker.id],
    );
  },
);

await claim('who is not signed in is told of changes, but nothing about them', async () => {
  const message = await refusedListening(nobody, { table: JOBS, filter: `user_id=eq.${anna.id}` });
  assert.match(message, /^Unable to subscribe to changes .* invalid column for filter user_id/);
  const heard = await listen(nobody, { table: JOBS });
  await submit(anna, { prompt: 'a cup', source_paths: [await upload(anna)], run_at: LATER });
  const change = await heard.until('something is heard', ([first]) => first);
  assert.deepEqual([change.new, change.old, change.errors], [{}, {}, ['Error 401: Unauthorized']]);
});

await claim("a person's own channel is heard by that person alone, and takes no message of anybody's", async () => {
  const own = ({ id }) => `carousel:${id}`;
  const config = { private: true, broadcast: { self: true, ack: true, replication_ready: true } };
  const told = new Told();
  const channel = anna.client.channel(own(anna), { config });
  channel.on('broadcast', { event: '*' }, (message) => told.tell(message)).on('system', {}, (message) => told.tell(message));
  await subscribe(channel);
  await told.until('the server listens', (all) => all.find(({ status }) => status === 'ok'));

  // An app of this project lets everybody who is signed in hear and say everything.
  await ask('sql', {
    statements: `create policy hear on realtime.messages for select using (true);
      create policy say on realtime.messages for insert with check (true)`,
  });
  for (const { client } of [bert, { client: nobody }]) {
    const { error } = await subscribe(client.channel(own(anna), { config }), 'CHANNEL_ERROR');
    assert.match(error.message, /^Unauthorized: /);
    await client.removeAllChannels();
  }
  const forged = { rows: [{ id: anna.id, status: 'failed' }] };
  for (const { client } of [anna, bert, { client: nobody }]) {
    const sent = client.channel(own(anna), { config }).httpSend('job', forged);
    await assert.rejects(sent, /Unauthorized/);
  }
  channel.send({ type: 'broadcast', event: 'job', payload: forged });
  const other = anna.client.channel('room', { config });
  await subscribe(other);
  assert.equal(await other.send({ type: 'broadcast', event: 'any', payload: {} }), 'ok', 'the app goes on as before');
  // A public channel of the same name is another one.
  await bert.client.removeAllChannels();
  const open = bert.client.channel(own(anna));
  await subscribe(open);
  await open.send({ type: 'broadcast', event: 'job', payload: forged });

  const { id } = await submit(anna, { prompt: 'a cup', source_paths: [await upload(anna)], run_at: LATER });
  // What was sent before she joined may still be on its way; what anybody else has said is not.
  const rows = (all) => all.filter(({ event }) => event === 'job').flatMap(({ payload }) => payload.rows);
  const heard = await told.until('Anna hears of her job', (all) => rows(all).some((row) => row.id === id) && rows(all));
  assert.deepEqual(
    heard.filter((row) => row.id === anna.id),
    [],
    'and of nothing that others say',
  );
  await ask('sql', { statements: 'drop policy hear on realtime.messages; drop policy say on realtime.messages' });
});

await claim('private tables can be listened to by nobody', async () => {
  for (const name of ['carousel_private.queue', 'carousel_private.leases', 'storage.objects', 'auth.users']) {
    const [schema, table] = name.split('.');
    const message = await refusedListening(anna.client, { schema, table });
    assert.match(
      message,
      /^Unable to subscribe to changes with given parameters\. Please check Realtime is enabled/,
      name,
    );
  }
});

report();
