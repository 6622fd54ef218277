// A frontend from before carousel, with every call that it makes, in a project where it goes on.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { subscribe, Told } from './changes.mjs';
import { claim, report } from './claims.mjs';
import { ask, BUCKET, connect, deployment, ok, person } from './deployment.mjs';

const JOBS = 'image_generation_jobs';
const IMAGES = 'generated_carousel_images';
const TEMPLATES = 'image_generation_templates';
const SETTINGS = {
  aspect_ratio: 'auto',
  quality: 'standard',
  use_lowercase: true,
  add_borders: false,
  border_color: '#ffffff',
  temperature: 0.7,
};
const LIST = '*, generated_images:generated_carousel_images(count), template:image_generation_templates(*)';

const ME = await person();
const { client, bucket } = ME;
const shapes = deployment.shapes.map(({ base64, ...shape }) => ({ ...shape, bytes: Buffer.from(base64, 'base64') }));

/** Uploads the photos as that frontend does and gives their public addresses. */
async function upload(folder) {
  const addresses = [];
  for (const [index, { bytes }] of shapes.entries()) {
    const path = `${ME.id}/${folder}/${Date.now()}_${index}.png`;
    const { data, error } = await bucket.upload(path, new Blob([bytes], { type: 'image/png' }));
    assert.ifError(error);
    assert.equal(data.path, path);
    addresses.push(bucket.getPublicUrl(path).data.publicUrl);
  }
  return addresses;
}

/** Listens to a job as that frontend does. */
async function follow(id) {
  const told = new Told();
  const channel = client.channel(`job-${id}`);
  const wanted = { event: 'UPDATE', schema: 'public', table: JOBS, filter: `id=eq.${id}` };
  channel.on('postgres_changes', wanted, ({ new: row }) => told.tell(row));
  const listening = new Told();
  channel.on('system', {}, (message) => listening.tell(message));
  await subscribe(channel);
  await listening.until('the database is listened to', (all) => all.find(({ status }) => status === 'ok'));
  return Object.assign(told, { channel });
}

/** Inserts a job and waits for its end, provider and page both held until they are ready for each other. */
async function make(job) {
  await ask('hold');
  const inserted = await client.from(JOBS).insert(job).select().single();
  assert.ifError(inserted.error);
  const told = await follow(inserted.data.id);
  await ask('release');
  const row = await ok(client.from(JOBS).select('status').eq('id', inserted.data.id).single());
  const isOver = ({ status }) => status === 'completed' || status === 'failed';
  assert.ok(!isOver(row));
  const last = await told.until('the job is over', (all) => all.find(isOver));
  await client.removeChannel(told.channel);
  return { inserted: inserted.data, told: told.all, last };
}

async function refused(request, code, detail) {
  const { data, error } = await request;
  assert.equal(data, null);
  assert.deepEqual([error?.code, error?.details], [code, detail]);
}

const seen = async (address) => {
  const answer = await fetch(address);
  assert.equal(answer.status, 200, address);
  return Buffer.from(await answer.arrayBuffer());
};

const { carried } = deployment;
if (carried) {
  await claim('what the app had is read as before', async () => {
    const claims = { sub: carried.user, role: 'authenticated', aud: 'authenticated', exp: Math.floor(Date.now() / 1000) + 3600 };
    const token = await ask('sign', { claims });
    const old = connect(deployment.publishableKey, { global: { headers: { authorization: `Bearer ${token}` } } });
    /** The columns that the app had, as they are now. */
    const before = (row, now) => Object.fromEntries(Object.keys(row).map((name) => [name, now[name]]));
    const rows = old.from(JOBS).select(LIST).eq('user_id', carried.user).order('created_at', { ascending: false });
    const [job] = await ok(rows.range(0, 9));
    assert.deepEqual(job.generated_images, [{ count: 2 }]);
    const message = { ...carried.job, message: job.message };
    assert.deepEqual(before(carried.job, job), message);
    assert.deepEqual(before(carried.template, job.template), carried.template);
    const images = old.from(IMAGES).select('*').eq('job_id', job.id).order('carousel_index').order('image_index');
    assert.deepEqual(
      (await ok(images)).map((image, index) => before(carried.images[index], image)),
      carried.images,
    );
    await ok(old.from(TEMPLATES).update({ is_favorite: false }).eq('id', job.template.id));
    await old.storage.from(BUCKET).remove(carried.images.map(({ storage_path }) => storage_path));
    await ok(old.from(JOBS).delete().eq('id', job.id));
    assert.deepEqual(await ok(old.from(IMAGES).select('id').eq('job_id', job.id)), []);
  });
}

let sources;
await claim('photos are uploaded, and their public addresses show them', async () => {
  sources = await upload('sources');
  for (const [index, address] of sources.entries()) assert.deepEqual(await seen(address), shapes[index].bytes);
});

let first;
await claim('a job in the old form, its sources as JSON, comes back queued and runs to its end', async () => {
  first = await make({
    name: 'Three photos',
    template_name: 'Custom upload',
    template_description: JSON.stringify({
      thumbnail: bucket.getPublicUrl('assets/ready/thumbnail.png').data.publicUrl,
      preview: [bucket.getPublicUrl(`${ME.id}/templates/preview.png`).data.publicUrl],
      sourceImages: sources.map((url) => ({ url })),
    }),
    prompt: 'a calm travel story',
    variants: 2,
    settings: SETTINGS,
    user_id: ME.id,
    status: 'queued',
  });
  const { name, template_name, status, progress, variants, settings, user_id, completed_at } = first.inserted;
  assert.deepEqual(
    { name, template_name, status, progress, variants, settings, user_id, completed_at },
    {
      name: 'Three photos',
      template_name: 'Custom upload',
      status: 'queued',
      progress: 0,
      variants: 2,
      settings: SETTINGS,
      user_id: ME.id,
      completed_at: null,
    },
  );
  const statuses = first.told.map((row) => row.status);
  assert.ok(statuses.every((word) => ['queued', 'processing', 'completed'].includes(word)), statuses.join());
  assert.deepEqual([first.last.status, first.last.progress], ['completed', 100]);
  assert.equal(first.last.completed_at, first.last.finished_at);
  assert.match(first.last.message, /6 images are ready/);
});

await claim('it is a job of ours: a slide for each source, each in the shape of its photo', async () => {
  const job = await ok(client.from(JOBS).select().eq('id', first.inserted.id).single());
  const { title, slides_from, aspect_ratios, quality, style, total_images, stage } = job;
  assert.deepEqual(
    { title, slides_from, aspect_ratios, quality, style, total_images, stage },
    {
      title: 'Three photos',
      slides_from: 'sources',
      aspect_ratios: ['auto'],
      quality: 'medium',
      style: { lettering: 'all in lowercase' },
      total_images: 6,
      stage: 'finished',
    },
  );
});

await claim('two carousels of three slides, each in its photo’s own ratio, shown by their addresses', async () => {
  const images = await ok(
    client.from(IMAGES).select('*').eq('job_id', first.inserted.id).order('carousel_index').order('image_index'),
  );
  assert.deepEqual(
    images.map(({ carousel_index, image_index }) => [carousel_index, image_index]),
    [0, 1].flatMap((carousel) => [0, 1, 2].map((slide) => [carousel, slide])),
  );
  for (const image of images) {
    const shape = shapes[image.image_index];
    assert.equal(image.width * shape.height, image.height * shape.width, `${image.width}x${image.height}`);
    assert.equal(image.source_image_url, sources[image.image_index]);
    assert.equal(image.generated_image_url, bucket.getPublicUrl(image.storage_path).data.publicUrl);
    assert.ok((await seen(image.generated_image_url)).length > 0);
    assert.match(image.prompt_used, /a calm travel story/);
    assert.deepEqual(image.settings_used, SETTINGS);
  }
});

let template;
await claim('a template in the old form is made, read and marked', async () => {
  const addresses = await upload('templates');
  const inserted = client.from(TEMPLATES).insert({
    user_id: ME.id,
    name: 'Travel',
    description: 'Of the road',
    thumbnail_url: addresses[0],
    source_images: addresses,
    default_prompt: 'a story of the road',
    default_settings: { ...SETTINGS, aspect_ratio: '4:5' },
  });
  template = await ok(inserted.select().single());
  assert.deepEqual([template.source_images, template.usage_count, template.is_favorite], [addresses, 0, false]);
  assert.deepEqual([template.slides_from, template.prompt], ['sources', 'a story of the road']);
  await ok(client.from(TEMPLATES).update({ is_favorite: true }).eq('id', template.id));
  const marked = await ok(client.from(TEMPLATES).select('is_favorite').eq('id', template.id).single());
  assert.deepEqual(marked, { is_favorite: true });
});

let second;
await claim('a job of that template, sent as processing, takes its sources', async () => {
  second = await make({
    name: 'Of a template',
    template_id: template.id,
    template_name: template.name,
    template_description: template.description,
    prompt: '',
    variants: 1,
    settings: { aspect_ratio: '4:5', prompts: ['one', 'two', 'three'] },
    user_id: ME.id,
    status: 'processing',
  });
  assert.deepEqual([second.inserted.status, second.last.status], ['queued', 'completed']);
  const images = await ok(client.from(IMAGES).select('*').eq('job_id', second.last.id).order('image_index'));
  assert.deepEqual(images.map(({ source_image_url }) => source_image_url), template.source_images);
  for (const [index, word] of ['one', 'two', 'three'].entries()) {
    assert.match(images[index].prompt_used, new RegExp(word));
    assert.equal(images[index].width * 5, images[index].height * 4);
  }
  const used = await ok(client.from(TEMPLATES).select('usage_count').eq('id', template.id).single());
  assert.equal(used.usage_count, 1);
});

await claim('the list has counts and templates, newest first, by range', async () => {
  const page = (from, to) =>
    ok(client.from(JOBS).select(LIST).eq('user_id', ME.id).order('created_at', { ascending: false }).range(from, to));
  const [newest] = await page(0, 0);
  const [oldest] = await page(1, 1);
  assert.deepEqual([newest.id, newest.generated_images, newest.template.id], [second.last.id, [{ count: 3 }], template.id]);
  assert.deepEqual([oldest.id, oldest.generated_images], [first.last.id, [{ count: 6 }]]);
  assert.deepEqual(oldest.template.source_images, sources);
  const one = await ok(
    client.from(JOBS).select('*, generated_images:generated_carousel_images(*)').eq('id', first.last.id).single(),
  );
  assert.equal(one.generated_images.length, 6);
});

await claim('a job that some images are missing of is completed, and shows those that are there', async () => {
  await ask('refuse', { words: 'Slide 2 of 3' });
  const { last } = await make({
    name: 'In part',
    template_name: 'Custom upload',
    template_description: JSON.stringify(sources),
    prompt: 'in part',
    variants: 1,
    settings: SETTINGS,
    user_id: ME.id,
    status: 'queued',
  });
  assert.deepEqual([last.status, last.progress, last.completed_images], ['completed', 100, 2]);
  const images = await ok(client.from(IMAGES).select('image_index').eq('job_id', last.id).order('image_index'));
  assert.deepEqual(images, [{ image_index: 0 }, { image_index: 2 }]);
  // What is missing can be made once more, as in any project.
  const told = await follow(last.id);
  await ok(client.from(JOBS).update({ retry_requested_at: 'now' }).eq('id', last.id));
  await told.until('all are there', (all) => all.find((row) => row.completed_images === 3 && row.status === 'completed'));
});

await claim('a job in our own form has the old columns, and is failed when it is cancelled', async () => {
  const path = sources[0].split(`/${BUCKET}/`)[1];
  const later = new Date(Date.now() + 3_600_000).toISOString();
  const row = { prompt: 'a cup', source_paths: [path], title: 'A cup', run_at: later };
  const job = await ok(client.from(JOBS).insert(row).select().single());
  assert.deepEqual([job.status, job.name, job.settings], ['queued', 'A cup', { aspect_ratio: '1:1' }]);
  const gone = await ok(client.from(JOBS).update({ cancel_requested_at: 'now' }).eq('id', job.id).select().single());
  assert.deepEqual([gone.status, gone.stage, gone.completed_images], ['failed', 'finished', 0]);
  const again = await ok(client.from(JOBS).update({ retry_requested_at: 'now' }).eq('id', job.id).select().single());
  assert.deepEqual([again.status, again.stage], ['queued', 'queued']);
  await ok(client.from(JOBS).update({ cancel_requested_at: 'now' }).eq('id', job.id));
  // The HTTP API keeps its words.
  const waiting = await ok(client.from(JOBS).insert({ ...row, title: 'Another cup' }).select().single());
  const { session } = (await client.auth.getSession()).data;
  const headers = { authorization: `Bearer ${session.access_token}` };
  const answer = await fetch(`${deployment.api}/api/image-generator/jobs?status=pending`, { headers });
  const { jobs } = await answer.json();
  assert.deepEqual(
    jobs.map(({ id, status }) => [id, status]),
    [[waiting.id, 'pending']],
  );
});

await claim('one picture is made at a time, and its address is answered', async () => {
  const { session } = (await client.auth.getSession()).data;
  const form = new FormData();
  form.append('source_image', new Blob([shapes[1].bytes], { type: 'image/png' }), 'photo.png');
  form.append('prompt', 'one picture');
  form.append('carousel_index', '0');
  form.append('image_index', '1');
  form.append('settings', JSON.stringify(SETTINGS));
  const answer = await fetch(`${deployment.api}/api/image-generator/generate-v2`, {
    method: 'POST',
    headers: { authorization: `Bearer ${session.access_token}` },
    body: form,
  });
  const { imageUrl, storagePath, width, height } = await answer.json();
  assert.equal(answer.status, 200);
  assert.equal(imageUrl, bucket.getPublicUrl(storagePath).data.publicUrl);
  assert.equal(width * shapes[1].height, height * shapes[1].width);
  assert.ok((await seen(imageUrl)).length > 0);
});

await claim('what is another’s, and what is none, is refused with the fix', async () => {
  const other = await person();
  const job = { name: 'x', template_name: 'x', prompt: 'x', variants: 1, settings: SETTINGS, status: 'queued' };
  const described = (addresses) => ({ ...job, user_id: ME.id, template_description: JSON.stringify(addresses) });
  const insert = (row) => client.from(JOBS).insert(row).select().single();
  await refused(insert({ ...described(sources), user_id: other.id }), '42501', 'user_foreign');
  const theirs = sources[0].replace(ME.id, other.id);
  await refused(insert(described([sources[0], theirs])), '42501', 'source_path_foreign');
  await refused(insert(described([])), '23514', 'sources_missing');
  await refused(insert({ ...described(sources), status: 'completed' }), '23514', 'transition_forbidden');
  await refused(insert({ ...described(sources), variants: 11 }), '23514', 'variants_out_of_range');
  const empty = { user_id: ME.id, name: 'x', source_images: [], default_prompt: 'x', default_settings: SETTINGS };
  await refused(client.from(TEMPLATES).insert(empty).select().single(), '23514', 'sources_missing');
  assert.deepEqual(await ok(other.client.from(JOBS).select()), []);
});

await claim('a job is deleted as that frontend does it: its objects first, then its row', async () => {
  const images = await ok(client.from(IMAGES).select('storage_path').eq('job_id', first.last.id));
  const paths = images.map(({ storage_path }) => storage_path);
  const removed = await bucket.remove(paths);
  assert.ifError(removed.error);
  assert.deepEqual(removed.data.map(({ name }) => name).toSorted(), paths.toSorted());
  const { error } = await client.from(JOBS).delete().eq('id', first.last.id);
  assert.ifError(error);
  assert.deepEqual(await ok(client.from(JOBS).select('id').eq('id', first.last.id)), []);
  assert.deepEqual(await ok(client.from(IMAGES).select('id').eq('job_id', first.last.id)), []);
});

report();
