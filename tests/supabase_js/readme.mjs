import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { claim, report } from './claims.mjs';
import { ask, deployment, ok, person } from './deployment.mjs';

// The README's blocks, as they stand there; only the client is ours.
const page = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
const [frontend, requests, template, search] = [...page.matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code);
const withoutClient = frontend.replace(/^import .*\n/m, '').replace(/^const supabase = .*\n/m, '').replaceAll('export ', '');
assert.notEqual(frontend, withoutClient);
const { client } = await person();
const { submit, watch } = new Function('supabase', `${withoutClient}; return { submit, watch }`)(client);
const [cancel, retry] = requests
  .trim()
  .split('\n')
  .map((line) => new Function('supabase', 'id', `return (async () => { ${line} })()`));

const fromTemplate = new Function('supabase', 'path', `return (async () => { ${template} })()`);
const searchFor = new Function('supabase', 'typed', `return (async () => { ${search}; return found })()`);

const photo = new Blob([deployment.photos[1].bytes], { type: deployment.photos[1].mime });
const read = (id) => ok(client.from('image_generation_jobs').select().eq('id', id).single());

/** Watches a job until its row has this status and, of a completed one, every image has its picture; gives the pictures' URLs. */
async function seen(id, status) {
  const images = new Map();
  let job;
  const { promise, resolve, reject } = withResolvers();
  const look = () => {
    const pictures = [...images.values()].filter(Boolean);
    if (job?.status === status && (status !== 'completed' || pictures.length === job.total_images)) resolve(pictures);
  };
  const channel = watch(
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
    await client.removeChannel(channel);
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

await claim('a refusal is thrown with its code', async () => {
  await assert.rejects(submit(photo, ' '), (error) => error.details === 'prompt_missing');
});

report();
