import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { listen } from './changes.mjs';
import { claim, report } from './claims.mjs';
import { deployment, ok, person, submit } from './deployment.mjs';

const ME = await person();
const { client, bucket } = ME;
const RATIOS = ['1:1', '4:5', '9:16'];
const JOBS = 'image_generation_jobs';
const IMAGES = 'generated_carousel_images';

// A page may choose the job's id, and so listen to it before it is there.
const id = randomUUID();
const byId = await listen(client, { table: JOBS, filter: `id=eq.${id}` }, { table: IMAGES, filter: `job_id=eq.${id}` });
const mine = await listen(
  client,
  { table: JOBS, filter: `user_id=eq.${ME.id}` },
  { table: 'image_generation_templates' },
);

const paths = deployment.photos.map(({ name }) => `${ME.id}/sources/${randomUUID()}-${name}`);
await claim('photos are uploaded as a Blob and as a Buffer', async () => {
  const [first, second] = deployment.photos;
  const blob = await bucket.upload(paths[0], new Blob([first.bytes], { type: first.mime }));
  const buffer = await bucket.upload(paths[1], second.bytes, { contentType: second.mime });
  for (const [index, { data, error }] of [blob, buffer].entries()) {
    assert.ifError(error);
    assert.deepEqual([data.path, data.fullPath], [paths[index], `generated-carousels/${paths[index]}`]);
  }
});

const inserted = await submit(ME, {
  id,
  prompt: 'the cup on a table',
  slide_prompts: ['in the morning', 'in the evening'],
  variants: 2,
  aspect_ratios: RATIOS,
  source_paths: paths,
  style: { mood: 'calm' },
});
await claim('the inserted row comes back pending, owned and counted', () => {
  const { status, stage, progress, user_id, total_images } = inserted;
  assert.deepEqual(
    { status, stage, progress, user_id, total_images },
    { status: 'pending', stage: 'queued', progress: 0, user_id: ME.id, total_images: 12 },
  );
});

const ofTable = (told, table) => told.all.filter((change) => change.table === table);
const last = await byId.until('the job is over', (all) =>
  all.find(({ table, new: row }) => table === JOBS && row.finished_at),
);
// Changes come in the order of their commits, so the images' last ones are there as well.
const jobChanges = ofTable(byId, JOBS);
const imageChanges = ofTable(byId, IMAGES);

await claim('the job goes from pending over processing to completed', () => {
  assert.deepEqual([jobChanges[0].eventType, last.new.status], ['INSERT', 'completed']);
  const statuses = jobChanges.map(({ new: row }) => row.status);
  assert.deepEqual([...new Set(statuses)], ['pending', 'processing', 'completed']);
  assert.equal(statuses.lastIndexOf('pending'), 0);
  assert.equal(statuses.indexOf('completed'), statuses.length - 1);
});

await claim('progress never falls and ends with 100', () => {
  const progress = jobChanges.map(({ new: row }) => row.progress);
  assert.deepEqual(
    progress,
    progress.toSorted((one, other) => one - other),
  );
  assert.deepEqual([progress[0], progress.at(-1)], [0, 100]);
});

await claim('the job row changes at claim, at most once a second while it runs, and at its end', () => {
  const [claimed, ...running] = jobChanges.filter(({ new: row }) => row.status === 'processing');
  assert.equal(claimed.new.stage, 'fetching');
  const seconds = (Date.parse(last.new.finished_at) - Date.parse(last.new.started_at)) / 1000;
  assert.ok(seconds > 1, `it took only ${seconds} s, which shows nothing`);
  // The step to generating is one that a person wants to see at once.
  assert.ok(running.length <= 1 + Math.floor(seconds), `${running.length} changes in ${seconds} s`);
  assert.ok(running.length >= 1, 'something was shown on the way');
});

await claim('every image is seen waiting, generating and completed, in this order', () => {
  const ids = new Set(imageChanges.map(({ new: row }) => row.id));
  assert.equal(ids.size, 12);
  for (const image of ids) {
    const changes = imageChanges.filter(({ new: row }) => row.id === image);
    assert.deepEqual(
      changes.map(({ eventType, new: row }) => `${eventType} ${row.status}`),
      ['INSERT pending', 'UPDATE generating', 'UPDATE completed'],
    );
  }
});

await claim('a channel by user hears the same job, and the template that it made', async () => {
  await mine.until('the job is over here too', (all) => all.find(({ new: row }) => row.finished_at));
  const templates = ofTable(mine, 'image_generation_templates');
  assert.deepEqual(
    templates.map(({ eventType, new: row }) => [eventType, row.id]),
    [['INSERT', last.new.template_id]],
  );
  const rows = (changes) => changes.map(({ new: row }) => row);
  assert.deepEqual(rows(ofTable(mine, JOBS)), rows(jobChanges));
});

const images = await ok(
  client.from(IMAGES).select().eq('job_id', id).order('variant').order('slide').order('aspect_ratio'),
);
await claim('what a select reads at the end is what was told last', async () => {
  assert.deepEqual(last.new, await ok(client.from(JOBS).select().eq('id', id).single()));
  const latest = new Map(imageChanges.map(({ new: row }) => [row.id, row]));
  for (const row of images) assert.deepEqual(latest.get(row.id), row);
});

await claim('the grid is whole: each variant, slide and ratio once, completed and paid', () => {
  const grid = [1, 2].flatMap((variant) => [1, 2].flatMap((slide) => RATIOS.map((ratio) => [variant, slide, ratio])));
  assert.deepEqual(
    images.map(({ variant, slide, aspect_ratio }) => [variant, slide, aspect_ratio]),
    grid,
  );
  assert.ok(images.every(({ cost_usd, usage }) => cost_usd > 0 && usage.total_tokens > 0));
  const cost = images.reduce((sum, { cost_usd }) => sum + cost_usd, 0);
  assert.ok(Math.abs(last.new.cost_usd - cost) < 1e-6, `the job cost ${last.new.cost_usd}, its images ${cost}`);
});

await claim('every image is downloaded in exactly its shape', async () => {
  for (const row of images) {
    const { data: blob, error } = await bucket.download(row.storage_path);
    assert.ifError(error);
    const bytes = Buffer.from(await blob.arrayBuffer());
    assert.deepEqual([blob.type, bytes.length], ['image/png', row.bytes]);
    assert.equal(createHash('sha256').update(bytes).digest('hex'), row.sha256);
    const { width, height } = sizeOf(bytes);
    assert.deepEqual([width, height], [row.width, row.height]);
    const [across, down] = row.aspect_ratio.split(':').map(Number);
    assert.equal(width * down, height * across, `${width}x${height} is not ${row.aspect_ratio}`);
  }
});

await claim('signed URLs give the same bytes to anyone who has them', async () => {
  const { signedUrl } = await ok(bucket.createSignedUrl(images[0].storage_path, 60));
  const many = await ok(
    bucket.createSignedUrls(
      images.map(({ storage_path }) => storage_path),
      60,
    ),
  );
  for (const [url, row] of [[signedUrl, images[0]], ...many.map(({ signedUrl: url }, index) => [url, images[index]])]) {
    const answer = await fetch(url);
    assert.equal(answer.status, 200);
    const bytes = Buffer.from(await answer.arrayBuffer());
    assert.equal(createHash('sha256').update(bytes).digest('hex'), row.sha256);
  }
});

await claim('the view shows a carousel for each variant and ratio, with its cover', async () => {
  const carousels = await ok(
    client.from('generated_carousels').select().eq('job_id', id).order('variant').order('aspect_ratio'),
  );
  assert.equal(carousels.length, 6);
  for (const carousel of carousels) {
    const slides = images.filter(({ carousel_id }) => carousel_id === carousel.id);
    assert.deepEqual([carousel.slides, carousel.completed_slides, carousel.failed_slides], [2, 2, 0]);
    assert.deepEqual([carousel.cover_path, carousel.cover_thumbhash], [slides[0].storage_path, slides[0].thumbhash]);
    assert.ok(
      slides.every(
        ({ variant, aspect_ratio }) => variant === carousel.variant && aspect_ratio === carousel.aspect_ratio,
      ),
    );
  }
});

await claim('the job made a template that holds what it was made of', async () => {
  const template = await ok(client.from('image_generation_templates').select().single());
  const { source_paths, prompt, slide_prompts, aspect_ratios, variants, style, use_count } = template;
  assert.deepEqual([template.id, source_paths, use_count], [last.new.template_id, paths, 1]);
  assert.deepEqual(
    { prompt, slide_prompts, aspect_ratios, variants, style },
    {
      prompt: inserted.prompt,
      slide_prompts: inserted.slide_prompts,
      aspect_ratios: RATIOS,
      variants: 2,
      style: { mood: 'calm' },
    },
  );
});

report();

/** Width and height of a PNG, which stand at the beginning of its first chunk. */
function sizeOf(bytes) {
  assert.equal(bytes.toString('latin1', 1, 4), 'PNG');
  assert.equal(bytes.toString('latin1', 12, 16), 'IHDR');
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
}
