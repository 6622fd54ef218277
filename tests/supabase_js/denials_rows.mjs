import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { listen } from './changes.mjs';
import { claim, report } from './claims.mjs';
import { ask, connect, deployment, ok, person, submit, upload } from './deployment.mjs';
import { nothing, refused } from './refusals.mjs';

const [anna, bert] = await Promise.all([person(), person()]);
const nobody = connect();
const JOBS = 'image_generation_jobs';
const IMAGES = 'generated_carousel_images';
const TEMPLATES = 'image_generation_templates';
const CAROUSELS = 'generated_carousels';
const FORBIDDEN = [403, '42501', /^permission denied for (table|view) /];

// Anna has a finished job with an image and a template; Bert has a photo.
const told = await listen(anna.client, { table: JOBS, filter: `user_id=eq.${anna.id}` });
const hers = await submit(anna, {
  prompt: 'a cup',
  title: 'Hers',
  source_paths: [await upload(anna)],
  idempotency_key: 'one',
});
const { new: job } = await told.until('her job is over', (all) =>
  all.find(({ new: row }) => row.status === 'completed'),
);
const his = await upload(bert);
const everything = () =>
  ask('rows', {
    query: `select (select jsonb_agg(j order by id) from public.${JOBS} j) as jobs,
                   (select jsonb_agg(i order by id) from public.${IMAGES} i) as images,
                   (select jsonb_agg(t order by id) from public.${TEMPLATES} t) as templates`,
  });
const before = await everything();
assert.deepEqual(
  [job.id, job.completed_images, before[0].images.length, before[0].templates.length],
  [hers.id, 1, 1, 1],
);

await claim("another person's rows are not there: no table, no view, by no filter", async () => {
  for (const table of [JOBS, IMAGES, TEMPLATES, CAROUSELS]) {
    await nothing(bert.client.from(table).select());
    await nothing(bert.client.from(table).select().eq('user_id', anna.id));
    const { count } = await bert.client.from(table).select('*', { count: 'exact', head: true });
    assert.equal(count, 0, table);
  }
  await nothing(bert.client.from(JOBS).select().eq('id', job.id));
  const { error } = await bert.client.from(JOBS).select().eq('id', job.id).single();
  assert.equal(error.code, 'PGRST116');
});

await claim("another person's rows can't be changed, cancelled, retried or deleted", async () => {
  const requests = [{ title: 'His' }, { cancel_requested_at: 'now' }, { retry_requested_at: 'now' }];
  for (const request of requests) await nothing(bert.client.from(JOBS).update(request).eq('id', job.id).select());
  await nothing(bert.client.from(IMAGES).update({ is_favorite: true }).eq('job_id', job.id).select());
  await nothing(bert.client.from(TEMPLATES).update({ name: 'His' }).eq('user_id', anna.id).select());
  for (const table of [JOBS, TEMPLATES])
    await nothing(bert.client.from(table).delete().eq('user_id', anna.id).select());
});

await claim('what names no row changes none, not even for the secret key', async () => {
  for (const client of [bert.client, anna.client, connect(deployment.secretKey)]) {
    await refused(client.from(JOBS).delete(), 400, '21000', /^DELETE requires a WHERE clause$/);
    const update = client.from(TEMPLATES).update({ name: 'All' }).select();
    await refused(update, 400, '21000', /^UPDATE requires a WHERE clause$/);
  }
});

await claim("an upsert onto another person's row leaves it as it is", async () => {
  const row = { id: job.id, prompt: 'his', source_paths: [his] };
  await refused(bert.client.from(JOBS).upsert(row), ...FORBIDDEN);
  await refused(bert.client.from(JOBS).insert(row), 409, '23505', /duplicate key/);
  const { data, error } = await bert.client.from(JOBS).upsert(row, { ignoreDuplicates: true }).select();
  assert.deepEqual([error, data], [null, []]);
  // Writing the same key needs the right to write it, whoever's row it is.
  const template = { id: job.template_id, name: 'His', source_paths: [his] };
  await refused(bert.client.from(TEMPLATES).upsert(template), ...FORBIDDEN);
  await refused(bert.client.from(TEMPLATES).insert(template), 409, '23505');
});

await claim('nobody can insert a row for somebody else', async () => {
  const foreign = [403, '42501', /^user_id is not your own$/];
  await refused(bert.client.from(JOBS).insert({ user_id: anna.id, prompt: 'his', source_paths: [his] }), ...foreign);
  await refused(bert.client.from(TEMPLATES).insert({ user_id: anna.id, name: 'his', source_paths: [his] }), ...foreign);
});

const OF_THE_WORKER = {
  user_id: bert.id,
  status: 'completed',
  stage: 'finished',
  progress: 100,
  message: 'done',
  total_images: 1,
  completed_images: 1,
  failed_images: 0,
  attempt: 9,
  error_code: 'x',
  error_message: 'x',
  cost_usd: -5,
  usage: {},
  started_at: 'now',
  finished_at: 'now',
  created_at: 'now',
  updated_at: 'now',
};

await claim('no column of the worker can be set with a new job', async () => {
  const rest = { cancel_requested_at: 'now', retry_requested_at: 'now' };
  // One's own user_id may be written, as nearly every frontend does.
  const { user_id: _, ...columns } = { ...OF_THE_WORKER, ...rest };
  for (const [column, value] of Object.entries(columns)) {
    const row = { prompt: 'his', source_paths: [his], [column]: value };
    await refused(bert.client.from(JOBS).insert(row), ...FORBIDDEN).catch(naming(column));
  }
});

const own = await submit(bert, { user_id: bert.id, prompt: 'his', source_paths: [his], run_at: '2100-01-01' });
await claim("no column can be changed in one's own job but its title and its requests", async () => {
  const asked = {
    id: randomUUID(),
    prompt: 'x',
    source_paths: [his],
    variants: 2,
    run_at: 'now',
    priority: 100,
    model: 'x',
  };
  const more = { template_id: null, batch_id: randomUUID(), idempotency_key: 'x', slide_prompts: [], style: {} };
  for (const [column, value] of Object.entries({ ...OF_THE_WORKER, ...asked, ...more })) {
    const update = bert.client
      .from(JOBS)
      .update({ [column]: value })
      .eq('id', own.id);
    await refused(update, ...FORBIDDEN).catch(naming(column));
  }
  assert.deepEqual(await ok(bert.client.from(JOBS).select().eq('id', own.id).single()), own);
});

await claim('images are only marked: not made, not changed, not deleted, not even by their owner', async () => {
  const table = () => anna.client.from(IMAGES);
  const [image] = before[0].images;
  await refused(
    table().insert({
      job_id: job.id,
      user_id: anna.id,
      carousel_id: job.id,
      variant: 2,
      slide: 1,
      aspect_ratio: '1:1',
    }),
    ...FORBIDDEN,
  );
  const columns = { status: 'pending', storage_path: 'x', cost_usd: 0, prompt: 'x', user_id: bert.id, job_id: own.id };
  for (const [column, value] of Object.entries(columns)) {
    await refused(
      table()
        .update({ [column]: value })
        .eq('id', image.id),
      ...FORBIDDEN,
    ).catch(naming(column));
  }
  await refused(table().delete().eq('id', image.id), ...FORBIDDEN);
});

await claim("a template's counters are not its owner's to write", async () => {
  for (const column of ['use_count', 'last_used_at', 'user_id', 'created_at', 'updated_at']) {
    const update = anna.client
      .from(TEMPLATES)
      .update({ [column]: null })
      .eq('id', job.template_id);
    await refused(update, ...FORBIDDEN).catch(naming(column));
  }
});

await claim('the view of carousels is only read', async () => {
  for (const { client } of [anna, bert, { client: nobody }]) {
    // PostgreSQL says so before it looks at grants.
    await refused(client.from(CAROUSELS).insert({ job_id: job.id }), 500, '55000', /^cannot insert into view/);
    await refused(
      client.from(CAROUSELS).update({ job_id: job.id }).eq('id', job.id),
      500,
      '55000',
      /^cannot update view/,
    );
    await refused(client.from(CAROUSELS).delete().eq('job_id', job.id), 500, '55000', /^cannot delete from view/);
  }
});

await claim("another person's files can't be named, and the words say which folder is one's own", async () => {
  const requests = [
    bert.client.from(JOBS).insert({ prompt: 'his', source_paths: job.source_paths }),
    bert.client.from(JOBS).insert({ prompt: 'his', source_paths: [his, ...job.source_paths] }),
    bert.client.from(TEMPLATES).insert({ name: 'his', source_paths: job.source_paths }),
    bert.client.from(TEMPLATES).update({ source_paths: job.source_paths }).eq('user_id', bert.id),
  ];
  for (const request of requests) {
    const error = await refused(request, 403, '42501', /is not in your folder/);
    assert.equal(error.details, 'source_path_foreign');
    assert.ok(error.hint.includes(`${bert.id}/sources/`), error.hint);
  }
});

await claim("another person's template is refused in the same words as one that never was", async () => {
  const errors = [];
  for (const template_id of [job.template_id, randomUUID()]) {
    const error = await refused(bert.client.from(JOBS).insert({ prompt: 'his', template_id }), 403, '42501');
    assert.equal(error.details, 'template_not_found');
    errors.push(error.message.replace(template_id, 'ID'));
  }
  assert.equal(errors[0], errors[1]);
});

await claim("an idempotency key is one's own: another person's is free", async () => {
  const row = await submit(bert, { prompt: 'his', source_paths: [his], run_at: '2100-01-01', idempotency_key: 'one' });
  assert.equal(row.idempotency_key, job.idempotency_key);
  await ok(bert.client.from(JOBS).delete().eq('id', row.id));
});

await claim('who is not signed in may do nothing', async () => {
  const denied = [401, '42501', /^permission denied for (table|view) /];
  await refused(nobody.from(CAROUSELS).select(), ...denied);
  for (const table of [JOBS, IMAGES, TEMPLATES]) {
    await refused(nobody.from(table).select(), ...denied);
    await refused(nobody.from(table).insert({ id: randomUUID() }), ...denied);
    await refused(nobody.from(table).update({ id: randomUUID() }).eq('id', job.id), ...denied);
    await refused(nobody.from(table).delete().eq('id', job.id), ...denied);
  }
});

await claim('what is private can be reached through no schema, table or function', async () => {
  for (const { client } of [bert, { client: nobody }]) {
    for (const schema of ['carousel_private', 'auth', 'storage', 'realtime']) {
      await refused(client.schema(schema).from('queue').select(), 406, 'PGRST106', /schema must be one of/);
    }
    for (const table of ['queue', 'leases', 'workers', 'provider_calls', 'limits', 'storage_cleanup', 'users']) {
      const { error, status } = await client.from(table).select();
      // The second is how newer servers say it.
      assert.ok(status === 404 && ['42P01', 'PGRST205'].includes(error.code), `${table}: ${status} ${error.code}`);
    }
    await refused(client.rpc('assign_turn', { job: job.id }), 404, 'PGRST202');
    await refused(client.rpc('enqueue'), 404, 'PGRST202');
  }
});

await claim('after all of this everything of Anna is as it was, and the secret key sees it', async () => {
  const [{ jobs, images, templates }] = await everything();
  const ofAnna = (rows) => rows.filter(({ user_id }) => user_id === anna.id);
  assert.deepEqual([ofAnna(jobs), images, ofAnna(templates)], [before[0].jobs, before[0].images, before[0].templates]);
  assert.deepEqual(jobs.length, 2, 'of all that Bert tried, only his own job is left');
  const server = connect(deployment.secretKey);
  assert.deepEqual(await ok(server.from(JOBS).select().eq('id', job.id).single()), job);
});

report();

function naming(column) {
  return (error) => {
    error.stack = `${column}: ${error.stack}`;
    throw error;
  };
}
