import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { listen } from './changes.mjs';
import { claim, report } from './claims.mjs';
import { ask, ok, person, submit, upload } from './deployment.mjs';

const ME = await person();
const { client, bucket } = ME;
const source = await upload(ME);
const jobs = () => client.from('image_generation_jobs');
const images = () => client.from('generated_carousel_images');
const templates = () => client.from('image_generation_templates');
const LATER = new Date(Date.now() + 24 * 3600 * 1000).toISOString();
/** A page's request: any time will do, the database writes its own. */
const NOW = new Date(0).toISOString();

const update = (job, request) => ok(jobs().update(request).eq('id', job).select().single());
const hear = (job) =>
  listen(
    client,
    { table: 'image_generation_jobs', filter: `id=eq.${job}` },
    { table: 'generated_carousel_images', filter: `job_id=eq.${job}` },
  );
const seen = (told, status) =>
  told.until(
    `the job is ${status}`,
    (all) => all.find(({ table, new: row }) => table === 'image_generation_jobs' && row.status === status)?.new,
  );

const pending = randomUUID();
await claim('a pending job is cancelled at once, and the page that listens sees it', async () => {
  const told = await hear(pending);
  await submit(ME, { id: pending, prompt: 'a cup', source_paths: [source], run_at: LATER });
  const row = await update(pending, { cancel_requested_at: NOW });
  assert.deepEqual([row.status, row.stage, row.progress, row.started_at], ['cancelled', 'finished', 0, null]);
  assert.ok(Date.now() - Date.parse(row.cancel_requested_at) < 60_000, "the request's time is the database's own");
  assert.deepEqual(await seen(told, 'cancelled'), row);
  assert.deepEqual(
    told.all.map(({ eventType }) => eventType),
    ['INSERT', 'UPDATE'],
  );
});

await claim('a cancelled job is made after all when a retry is asked for', async () => {
  const told = await hear(pending);
  const row = await update(pending, { retry_requested_at: NOW });
  assert.deepEqual(
    [row.status, row.stage, row.finished_at, row.cancel_requested_at],
    ['pending', 'queued', null, null],
  );
  assert.ok(Date.parse(row.run_at) < Date.parse(LATER), 'it waits no longer for the time it was meant for');
  const done = await seen(told, 'completed');
  assert.deepEqual([done.completed_images, done.attempt], [1, 1]);
});

const running = randomUUID();
await claim('a running job is told to stop, stops, and keeps what it has', async () => {
  const told = await hear(running);
  const before = await ask('calls');
  await ask('hold');
  await submit(ME, { id: running, prompt: 'a cup', slide_prompts: ['one', 'two'], source_paths: [source] });
  await ask('calls', { at_least: before + 2 });
  const row = await update(running, { cancel_requested_at: NOW });
  assert.deepEqual([row.status, row.message], ['processing', 'Cancelling']);
  const cancelled = await seen(told, 'cancelled');
  assert.equal(cancelled.completed_images + cancelled.failed_images, 0);
  const statuses = await ok(images().select('status').eq('job_id', running));
  assert.deepEqual(statuses, [{ status: 'cancelled' }, { status: 'cancelled' }]);
  await ask('release');
});

await claim('a retry of it makes all that is missing', async () => {
  const told = await hear(running);
  await update(running, { retry_requested_at: NOW });
  const done = await seen(told, 'completed');
  assert.deepEqual([done.progress, done.completed_images, done.failed_images, done.error_code], [100, 2, 0, null]);
});

await claim('requests that no longer make sense change nothing', async () => {
  const done = await ok(jobs().select().eq('id', running).single());
  const cancelled = await update(running, { cancel_requested_at: NOW });
  assert.deepEqual({ ...cancelled, updated_at: null }, { ...done, updated_at: null });
  const retried = await update(running, { retry_requested_at: NOW });
  assert.deepEqual({ ...retried, updated_at: null }, { ...done, updated_at: null });
});

await claim('a job is renamed, and its new title reaches the page', async () => {
  const told = await hear(running);
  const row = await update(running, { title: 'Cups' });
  const change = await told.until('the title is heard of', (all) =>
    all.find(({ new: heard }) => heard.title === 'Cups'),
  );
  assert.deepEqual(change.new, row);
  assert.deepEqual(change.old, { id: running }, 'an update brings the key of the old row, and no more');
});

await claim('an image is marked, and its carousel with it', async () => {
  const [first] = await ok(images().select('id, carousel_id').eq('job_id', running).order('slide'));
  const carousel = () => ok(client.from('generated_carousels').select().eq('id', first.carousel_id).single());
  assert.equal((await carousel()).is_favorite, false);
  const told = await hear(running);
  const row = await ok(images().update({ is_favorite: true }).eq('id', first.id).select().single());
  assert.equal(row.is_favorite, true);
  assert.equal((await carousel()).is_favorite, true);
  const change = await told.until('the mark is heard of', (all) => all.find(({ new: heard }) => heard.id === first.id));
  assert.deepEqual(change.new, row);
});

await claim('a deleted job takes its images along, and its DELETE tells no more than the key', async () => {
  const told = await hear(running);
  const others = await listen(client, { table: 'generated_carousel_images', event: 'DELETE' });
  const gone = (await ok(images().select('id').eq('job_id', running))).map(({ id }) => id).toSorted();
  assert.equal(gone.length, 2);
  assert.deepEqual(await ok(jobs().delete().eq('id', running).select('id')), [{ id: running }]);
  const change = await told.until('it is heard of', (all) => all.find(({ eventType }) => eventType === 'DELETE'));
  assert.deepEqual([change.old, change.new], [{ id: running }, {}]);
  await others.until('both images are heard of', ({ length }) => length === 2);
  assert.deepEqual(
    others.all.map(({ old }) => Object.keys(old)),
    [['id'], ['id']],
  );
  assert.deepEqual(others.all.map(({ old }) => old.id).toSorted(), gone);
  assert.deepEqual(await ok(images().select().eq('job_id', running)), []);
});

await claim('a template is named, marked, tagged, found, used again and counted', async () => {
  const made = await ok(templates().select().single());
  assert.equal(made.use_count, 2, 'both jobs had the same source');
  const told = await listen(client, { table: 'image_generation_templates', filter: `id=eq.${made.id}` });
  const wish = {
    name: 'My cups',
    is_favorite: true,
    tags: ['cup', 'warm'],
    prompt: 'another cup',
    aspect_ratios: ['4:5'],
  };
  const changed = await ok(templates().update(wish).eq('id', made.id).select().single());
  assert.deepEqual({ ...changed, ...wish }, changed);
  assert.ok(changed.updated_at > made.updated_at);
  const favourites = await ok(templates().select('id').is('is_favorite', true).contains('tags', ['warm']));
  assert.deepEqual(favourites, [{ id: made.id }]);

  for (const typed of ['warm CUP', 'my another']) {
    let search = templates().select('id');
    for (const word of typed.split(' ')) search = search.ilike('search_text', `%${word}%`);
    assert.deepEqual(await ok(search), [{ id: made.id }], typed);
  }
  assert.deepEqual(await ok(templates().select('id').ilike('search_text', '%saucer%')), []);
  assert.ok(!('search_text' in made), 'what is searched is not sent along');

  const job = await submit(ME, { template_id: made.id, run_at: LATER });
  assert.deepEqual([job.prompt, job.aspect_ratios, job.source_paths], ['another cup', ['4:5'], [source]]);
  const use = await told.until('its use is heard of', (all) => all.find(({ new: row }) => row.use_count === 3));
  assert.ok(use.new.last_used_at >= job.created_at);
  // A template that goes leaves its jobs as they are.
  await ok(templates().delete().eq('id', made.id));
  const kept = await ok(jobs().select('template_id, prompt').eq('id', job.id).single());
  assert.deepEqual(kept, { template_id: null, prompt: 'another cup' });
});

await claim('a template is duplicated by inserting it once more, under another name', async () => {
  const words = { prompt: 'a {{thing}}', variables: { thing: 'cup' } };
  const made = await ok(
    templates()
      .insert({ ...words, name: 'First', source_paths: [source], tags: ['one'] })
      .select()
      .single(),
  );
  const columns = 'description, source_paths, prompt, slide_prompts, aspect_ratios, variants, style, variables, tags';
  const copy = await ok(templates().select(columns).eq('id', made.id).single());
  const second = await ok(
    templates()
      .insert({ ...copy, name: `${made.name} (copy)` })
      .select()
      .single(),
  );
  assert.deepEqual({ ...second, ...copy }, second);
  assert.notEqual(second.id, made.id);
  assert.deepEqual([second.version, second.use_count], [1, 0]);
  await ok(templates().delete().in('id', [made.id, second.id]));
});

await claim('a template is made by hand, and a job takes what it does not bring', async () => {
  const made = await ok(
    templates()
      .insert({ name: 'By hand', source_paths: [source], variants: 3 })
      .select()
      .single(),
  );
  assert.deepEqual([made.user_id, made.use_count, made.aspect_ratios], [ME.id, 0, ['1:1']]);
  const job = await submit(ME, { template_id: made.id, prompt: 'a cup', variants: 2, run_at: LATER });
  assert.deepEqual([job.variants, job.total_images, job.template_id], [2, 2, made.id]);
});

await claim('jobs that were sent together are listed page by page, each once', async () => {
  const batch_id = randomUUID();
  const rows = [1, 2, 3, 4, 5].map((number) => ({
    title: `Cup ${number}`,
    prompt: 'a cup',
    source_paths: [source],
    run_at: LATER,
    batch_id,
  }));
  assert.equal((await ok(jobs().insert(rows).select('id'))).length, 5);
  const latest = { ascending: false };
  const list = (columns, options) =>
    jobs().select(columns, options).eq('batch_id', batch_id).order('created_at', latest).order('id', latest);
  const all = await ok(list('id, created_at, title'));
  const pages = [];
  for (const from of [0, 2, 4]) {
    const { data, count, status, error } = await list('id, created_at, title', { count: 'exact' }).range(
      from,
      from + 1,
    );
    assert.ifError(error);
    assert.deepEqual([count, status], [5, 206], 'part of five');
    pages.push(...data);
  }
  assert.deepEqual(pages, all);
  const { data, count } = await list('id', { count: 'exact', head: true });
  assert.deepEqual([data, count], [null, 5]);
  const beyond = await list('id', { count: 'exact' }).range(10, 11);
  assert.deepEqual([beyond.status, beyond.error?.code], [416, 'PGRST103']);
  // Embedding follows the foreign keys.
  const [{ image_generation_templates: template }] = await ok(list('id, image_generation_templates(name)').limit(1));
  assert.equal(template.name, 'By hand');
});

await claim('a request that is sent again finds its first job', async () => {
  const idempotency_key = randomUUID();
  const job = { prompt: 'a cup', source_paths: [source], run_at: LATER, idempotency_key };
  const first = await submit(ME, job);
  const { error, status } = await jobs().insert(job);
  assert.deepEqual([status, error.code], [409, '23505']);
  const options = { onConflict: 'user_id,idempotency_key', ignoreDuplicates: true };
  const again = await jobs().upsert(job, options).select();
  assert.deepEqual([again.error, again.data], [null, []]);
  const found = await ok(jobs().select().eq('idempotency_key', idempotency_key));
  assert.deepEqual(found, [first]);
  const [template] = await ok(templates().select('use_count').eq('id', first.template_id));
  const made = await ok(jobs().select('id', { count: 'exact' }).eq('template_id', first.template_id));
  assert.equal(template.use_count, made.length, 'a repeated request is no use of the template');
});

await claim("a finished job's files are the owner's to list", async () => {
  const listed = await ok(bucket.list(`${ME.id}/jobs/${pending}`));
  const [{ storage_path }] = await ok(images().select('storage_path').eq('job_id', pending));
  assert.deepEqual(
    listed.map(({ name }) => `${ME.id}/jobs/${pending}/${name}`),
    [storage_path],
  );
});

report();
