import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { claim, report } from './claims.mjs';
import { ask, deployment, ok, person } from './deployment.mjs';

// The pages' blocks, as they stand there; only the client is ours.
async function blocks(page) {
  const text = await readFile(new URL(`../../${page}`, import.meta.url), 'utf8');
  return [...text.matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code);
}
const [frontend] = await blocks('README.md');
const [slides, requests, template, search] = await blocks('supabase/README.md');
const withoutClient = frontend.replace(/^import .*\n/m, '').replace(/^const supabase = .*\n/m, '').replaceAll('export ', '');
assert.notEqual(frontend, withoutClient);
const { client, id } = await person();
const { submit, watch } = new Function('supabase', `${withoutClient}; return { submit, watch }`)(client);
const [cancel, retry] = requests
  .trim()
  .split('\n')
  .map((line) => new Function('supabase', 'id', `return (async () => { ${line} })()`));

const eachPhoto = new Function('supabase', 'paths', `return (async () => { ${slides} })()`);
const fromTemplate = new Function('supabase', 'path', `return (async () => { ${template} })()`);
const searchFor = new Function('supabase', 'typed', `return (async () => { ${search}; return found })()`);

const photo = new Blob([deployment.photos[1].bytes], { type: deployment.photos[1].mime });
const read = (id) => ok(client.from('image_generation_jobs').select().eq('id', id).single());

/** What the one channel of the page is, once it is joined. */
async function channelIs(topic) {
  const joined = () => client.getChannels().some((channel) => channel.topic === `realtime:${topic}:${id}` && channel.state === 'joined');
  while (!joined()) await new Promise(setImmediate);
}

/** Watches a job until its row has this status and, of a completed one, every image has its picture; gives the pictures' URLs. */
async function seen(id, status) {
  const images = new Map();
  let job;
  const { promise, resolve, reject } = withResolvers();
  const look = () => {
    const pictures = [...images.values()].filter(Boolean);
    if (job?.status === status && (status !== 'completed' || pictures.length === job.total_images)) resolve(pictures);
  };
  const stop = watch(
    id,
    (row) => {
      job = row;
      look();
    },
    (image, url) => {
      images.set(image.id, url);
      look();
    },
  );
  const late = setTimeout(() => reject(new Error(`never seen ${status}: ${JSON.stringify([job, ...images])}`)), 60_000);
  try {
    return await promise;
  } finally {
    clearTimeout(late);
    stop();
  }
}

function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

await claim('a submitted job is watched to its end, and each image can be shown', async () => {
  const job = await submit(photo, 'a cup of tea');
  const urls = await seen(job.id, 'completed');
  assert.equal(urls.length, 4);
  for (const url of urls) {
    const answer = await fetch(url);
    assert.deepEqual([answer.status, answer.headers.get('content-type')], [200, 'image/png']);
  }
});

await claim('a job that is over before anyone watches is shown as it is', async () => {
  const job = await submit(photo, 'another cup');
  await seen(job.id, 'completed');
  assert.equal((await seen(job.id, 'completed')).length, 4);
});

await claim('a running job is cancelled and made after all', async () => {
  const before = await ask('calls');
  await ask('hold');
  const job = await submit(photo, 'a third cup');
  await ask('calls', { at_least: before + 1 });
  await cancel(client, job.id);
  await seen(job.id, 'cancelled');
  await ask('release');
  await retry(client, job.id);
  await seen(job.id, 'completed');
  assert.equal((await read(job.id)).completed_images, 4);
});

await claim('after the server has closed the channel for good it is joined again', async () => {
  await channelIs('carousel');
  const before = await ask('calls');
  await ask('hold');
  const job = await submit(photo, 'a cup on a shelf');
  const completed = seen(job.id, 'completed');
  await ask('calls', { at_least: before + 1 });
  const [closed] = client.getChannels();
  await ask('close_channels');
  while (closed.state === 'joined') await new Promise(setImmediate);
  await channelIs('carousel');
  await ask('release');
  assert.equal((await completed).length, 4);
});

await claim('a job that is deleted is shown as gone', async () => {
  await ask('hold');
  const job = await submit(photo, 'a cup that falls');
  const { promise: gone, resolve } = withResolvers();
  const { promise: here, resolve: shown } = withResolvers();
  const stop = watch(job.id, (row) => (row ? shown() : resolve()), () => {});
  await here;
  await ok(client.from('image_generation_jobs').delete().eq('id', job.id));
  await gone;
  stop();
  await ask('release');
});

await claim('photos become slides of their own shape, twice', async () => {
  const first = await submit(photo, 'a cup of coffee');
  const second = await submit(photo, 'another cup of coffee');
  await eachPhoto(client, [...first.source_paths, ...second.source_paths]);
  const newest = client.from('image_generation_jobs').select().order('created_at', { ascending: false }).limit(1);
  const job = await ok(newest.single());
  assert.deepEqual([job.slides_from, job.total_images], ['sources', 4]);
  await seen(job.id, 'completed');
  const images = await ok(client.from('generated_carousel_images').select().eq('job_id', job.id));
  assert.deepEqual(new Set(images.map(({ variant, slide, aspect_ratio: ratio }) => `${variant}-${slide}-${ratio}`)).size, 4);
  assert.ok(images.every(({ aspect_ratio: ratio, width, height }) => ratio === 'auto' && width > 0 && height > 0));
});

await claim('a template is used with a value for its variable', async () => {
  const { source_paths } = await submit(photo, 'a fourth cup');
  await fromTemplate(client, source_paths[0]);
  const newest = client.from('image_generation_jobs').select().order('created_at', { ascending: false }).limit(1);
  const job = await ok(newest.single());
  assert.equal(job.prompt, 'A red cup on a wooden table');
  await seen(job.id, 'completed');
  const found = await searchFor(client, 'WOODEN table');
  assert.deepEqual(
    found.map(({ id }) => id),
    [],
    'a value is the template\'s default, not its words',
  );
  assert.deepEqual((await searchFor(client, 'product TABLE')).map(({ id }) => id), [job.template_id]);
});

await claim('where the project has no private channels the tables are listened to, and long rows are whole', async () => {
  await ask('sql', { statements: 'drop policy "carousel: people hear their own channel" on realtime.messages' });
  await ask('close_channels');
  await channelIs('changes');
  const job = await submit(photo, 'the last cup');
  assert.equal((await seen(job.id, 'completed')).length, 4);
  // Above a megabyte in the log, where each of these letters takes six bytes.
  const slide_prompts = Array.from({ length: 18 }, () => '\u0001'.repeat(12_000));
  const large = await ok(
    client.from('image_generation_jobs').insert({ slide_prompts, source_paths: job.source_paths, run_at: '2999-01-01' }).select().single(),
  );
  const last = {};
  const { promise: changed, resolve } = withResolvers();
  const stop = watch(large.id, (row) => row.title === 'other' && resolve(Object.assign(last, row)), () => {});
  await ok(client.from('image_generation_jobs').update({ title: 'other' }).eq('id', large.id));
  await changed;
  stop();
  assert.deepEqual(last.slide_prompts, slide_prompts);
  await ask('sql', { statements: 'select carousel_private.set_up_broadcasts()' });
});

await claim('a refusal is thrown with its code', async () => {
  await assert.rejects(submit(photo, ' '), (error) => error.details === 'prompt_missing');
});

report();
