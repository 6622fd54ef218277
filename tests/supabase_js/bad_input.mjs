import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { listen } from './changes.mjs';
import { claim, report } from './claims.mjs';
import { ask, ok, person, submit, upload } from './deployment.mjs';
import { refused, refusedFile } from './refusals.mjs';

const ME = await person();
const { client, bucket } = ME;
const jobs = () => client.from('image_generation_jobs');
const templates = () => client.from('image_generation_templates');
const source = await upload(ME);
const stranger = randomUUID();
const good = { prompt: 'a cup', source_paths: [source] };
const paths = (count) => Array.from({ length: count }, (_, number) => `${ME.id}/sources/${number}.png`);
const text = (length) => 'x'.repeat(length);
const json = JSON.stringify;

/** Tries jobs one by one: each must be refused with this status and code, with `details` as its stable name, and words that help. */
async function refusedJobs(status, code, details, { message = /./, hint }, ...rows) {
  for (const row of rows) {
    const given = json(row).slice(0, 200);
    const error = await refused(jobs().insert(row), status, code, message).catch((cause) =>
      assert.fail(`${given}: ${cause.stack}`),
    );
    assert.equal(error.details, details, given);
    if (hint) assert.match(error.hint, hint, given);
  }
}

await claim("a path in another person's folder is refused with one's own folder", () =>
  refusedJobs(
    403,
    '42501',
    'source_path_foreign',
    { message: /^source path '.*' is not in your folder$/, hint: new RegExp(`your own user id: ${ME.id}/sources/`) },
    { ...good, source_paths: [`${stranger}/sources/a.png`] },
    { ...good, source_paths: [source, `${stranger}/sources/a.png`] },
    { ...good, source_paths: [`generated-carousels/${source}`] },
    { ...good, source_paths: ['sources/a.png'] },
    { ...good, source_paths: [`${ME.id.toUpperCase()}/sources/a.png`] },
  ),
);

await claim('what is no path in the bucket is refused with what one looks like', () =>
  refusedJobs(
    400,
    '23514',
    'source_path_invalid',
    {
      message: /^source path .* is not a path in the bucket$/,
      hint: /Upload to \{your user id\}\/sources\/\{name\}\.\{ext\}/,
    },
    ...['', '/', 'a.png', `/${source}`, `${ME.id}//a.png`, `${ME.id}/sources/`, `${ME.id}/sources/ü.png`].map(
      (path) => ({
        ...good,
        source_paths: [path],
      }),
    ),
    { ...good, source_paths: [`${ME.id}/../${stranger}/sources/a.png`] },
    { ...good, source_paths: [`${ME.id}/sources/./a.png`] },
    { ...good, source_paths: [`${ME.id}/sources/${text(512)}.png`] },
    { ...good, source_paths: ['https://example.com/a.png'] },
    { ...good, source_paths: [null] },
  ),
);

await claim('no sources and too many sources are refused with how many there may be', async () => {
  const words = { message: /^the job has 0 source images$/, hint: /1 to 16 uploaded images, or template_id/ };
  await refusedJobs(
    400,
    '23514',
    'sources_missing',
    words,
    { prompt: 'a cup' },
    { ...good, source_paths: [] },
    { ...good, source_paths: null },
  );
  const many = { message: /^there are \d+ source images$/, hint: /A slide sees 1 to 16\. .*there may be 100/ };
  await refusedJobs(
    400,
    '23514',
    'too_many_sources',
    many,
    { ...good, source_paths: paths(17) },
    { ...good, source_paths: paths(101), slides_from: 'sources' },
  );
});

await claim('slides that don’t go with their sources are refused with what would', async () => {
  const three = { ...good, source_paths: paths(3) };
  const two = { ...three, slide_prompts: ['one', 'two'] };
  await refusedJobs(
    400,
    '23514',
    'slides_from_invalid',
    { message: /^slides_from is 'photos'$/, hint: /^Pass prompts, .* or sources,/ },
    { ...three, slides_from: 'photos' },
  );
  await refusedJobs(
    400,
    '23514',
    'slide_prompts_mismatched',
    { message: /^there are 2 slide prompts for 3 sources$/, hint: /a slide prompt for each source, or none/ },
    { ...two, slides_from: 'sources' },
  );
  await refusedJobs(
    400,
    '23514',
    'slide_sources_invalid',
    { message: /slide_sources|no slide sees source 3/, hint: /^Pass a list with \d+ entries, one a slide/ },
    ...[{}, 'all', 1, [], [[1, 2, 3]], [[1, 2, 3], []], [[1, 2], [4]], [[1, 2, 3], [0]], [[1, 1], [2, 3]], [[1], [2]], [[1, 2], ['3']]].map(
      (slide_sources) => ({ ...two, slide_sources }),
    ),
    { ...three, slides_from: 'sources', slide_sources: [[1], [2], [3]] },
  );
});

await claim('a prompt that is missing or too long is refused with the limit', async () => {
  const none = [
    { source_paths: [source] },
    { ...good, prompt: '' },
    { ...good, prompt: ' \n ' },
    { ...good, prompt: '', slide_prompts: ['one', ' '] },
  ];
  await refusedJobs(400, '23514', 'prompt_missing', { hint: /^Pass prompt, or slide_prompts/ }, ...none);
  // A constraint's name is all that PostgreSQL tells here.
  const constraint = { message: /violates check constraint "prompt_at_most_32000_characters"$/ };
  await refusedJobs(400, '23514', null, constraint, { ...good, prompt: text(32_001) });
  const slide = { message: /32001 characters long$/, hint: /at most 32000 characters/ };
  await refusedJobs(400, '23514', 'prompt_too_long', slide, { ...good, slide_prompts: ['one', text(32_001)] });
});

await claim('variants are refused outside 1 to 10, and when they are no number', async () => {
  const rows = [0, -1, 11, 2_147_483_647].map((variants) => ({ ...good, variants }));
  await refusedJobs(
    400,
    '23514',
    'variants_out_of_range',
    { message: /^variants is -?\d+$/, hint: /^Pass 1 to 10\.$/ },
    ...rows,
  );
  const words = { message: /^invalid input syntax for type integer/ };
  await refusedJobs(
    400,
    '22P02',
    null,
    words,
    { ...good, variants: 'two' },
    { ...good, variants: 1.5 },
    { ...good, variants: '' },
  );
  await refusedJobs(
    400,
    '22003',
    null,
    { message: /out of range for type integer/ },
    { ...good, variants: 2_147_483_648 },
  );
});

await claim('aspect ratios are refused when one is unknown, named twice, or none is named', () =>
  refusedJobs(
    400,
    '23514',
    'aspect_ratios_invalid',
    { message: /^aspect_ratios is /, hint: /one or more of 1:1, 4:5, 9:16, 3:4, 16:9, 3:2, 2:3 and auto, each once/ },
    ...[['2:1'], ['1:1', '2:1'], ['1:1', '1:1'], [], ['1x1'], [null], ['']].map((aspect_ratios) => ({
      ...good,
      aspect_ratios,
    })),
  ),
);

await claim('more than 100 images are refused with the sum and a way out', () =>
  refusedJobs(
    400,
    '23514',
    'too_many_images',
    {
      message: /^the job has \d+ images: \d+ variants x \d+ slides x \d+ aspect ratios$/,
      hint: /at most 100: send several jobs/,
    },
    { ...good, variants: 10, slide_prompts: ['a', 'b', 'c', 'd'], aspect_ratios: ['1:1', '4:5', '9:16'] },
    { ...good, slide_prompts: Array.from({ length: 101 }, () => 'a') },
  ),
);

await claim('every other option is refused with the name of its rule', async () => {
  const rules = {
    title_at_most_200_characters: { title: text(201) },
    style_is_a_small_object: { style: ['calm'] },
    model_is_a_name: { model: 'a model; or two' },
    quality_known: { quality: 'best' },
    output_format_known: { output_format: 'gif' },
    background_known: { background: 'blue' },
    transparent_needs_png_or_webp: { background: 'transparent', output_format: 'jpeg' },
    partial_previews_between_0_and_3: { partial_previews: 4 },
    priority_between_minus_100_and_100: { priority: 101 },
    idempotency_key_1_to_200_characters: { idempotency_key: '' },
  };
  for (const [rule, option] of Object.entries(rules)) {
    const words = { message: new RegExp(`violates check constraint "${rule}"$`) };
    await refusedJobs(400, '23514', null, words, { ...good, ...option });
  }
  await refusedJobs(
    400,
    '23514',
    null,
    { message: /"style_is_a_small_object"$/ },
    { ...good, style: { mood: text(8192) } },
  );
});

await claim('what is no column, no uuid and no time is refused by name', async () => {
  await refusedJobs(400, 'PGRST204', null, { message: /'promt'/ }, { ...good, promt: 'a cup' });
  await refusedJobs(
    400,
    '22P02',
    null,
    { message: /^invalid input syntax for type uuid: "one"$/ },
    { ...good, id: 'one' },
    { ...good, template_id: 'one' },
  );
  await refusedJobs(
    400,
    '22007',
    null,
    { message: /^invalid input syntax for type timestamp/ },
    { ...good, run_at: 'soon' },
  );
});

await claim('one bad row in many keeps all of them out', async () => {
  await refused(jobs().insert([good, { ...good, variants: 0 }]), 400, '23514', /^variants is 0$/);
});

await claim('a template is held to the same rules', async () => {
  const row = { name: 'A template', source_paths: [source] };
  const rules = {
    name_1_to_200_characters: { name: ' ' },
    source_paths_1_to_100: { source_paths: [] },
    aspect_ratios_known_and_distinct: { aspect_ratios: ['2:1'] },
    variants_between_1_and_10: { variants: 0 },
    prompt_at_most_32000_characters: { prompt: text(32_001) },
    tags_at_most_50: { tags: Array.from({ length: 51 }, String) },
  };
  for (const [rule, option] of Object.entries(rules)) {
    await refused(templates().insert({ ...row, ...option }), 400, '23514', new RegExp(`"${rule}"$`));
  }
  await refused(templates().insert({ ...row, source_paths: paths(17) }), 400, '23514', /^there are 17 source images$/);
  await refused(templates().insert({ ...row, slide_sources: [[2]] }), 400, '23514', /^slide_sources names 2 for slide 1$/);
  await refused(
    templates().insert({ ...row, source_paths: [`${stranger}/sources/a.png`] }),
    403,
    '42501',
    /not in your folder/,
  );
});

await claim('a file that is no picture by its type, or above 50 MB, is not even taken', async () => {
  const path = `${ME.id}/sources/${randomUUID()}`;
  for (const contentType of ['text/plain', 'image/svg+xml', 'image/gif', 'text/html']) {
    await refusedFile(
      bucket.upload(path, Buffer.from('<svg/>'), { contentType }),
      '415',
      new RegExp(`^mime type ${contentType.replace('+', '\\+')} is not supported$`),
    );
  }
  const large = Buffer.alloc(60_000_000);
  await refusedFile(
    bucket.upload(path, large, { contentType: 'image/png' }),
    '413',
    /^The object exceeded the maximum allowed size$/,
  );
  const { data } = await bucket.exists(path);
  assert.equal(data, false);
});

await claim('of all this nothing is left: no job, no image, no template, nothing queued and no call', async () => {
  const [left] = await ask('rows', {
    query: `select (select count(*) from public.image_generation_jobs) as jobs,
                   (select count(*) from public.generated_carousel_images) as images,
                   (select count(*) from public.image_generation_templates) as templates,
                   (select count(*) from carousel_private.queue) as queued,
                   (select count(*) from carousel_private.provider_calls) as calls,
                   (select array_agg(name) from storage.objects) as objects`,
  });
  assert.deepEqual(left, { jobs: 0, images: 0, templates: 0, queued: 0, calls: 0, objects: [source] });
});

await claim('what only the worker can find out fails the job with a code and the name of the file', async () => {
  const fake = `${ME.id}/sources/${randomUUID()}.png`;
  await ok(bucket.upload(fake, Buffer.from('this is text'), { contentType: 'image/png' }));
  const missing = `${ME.id}/sources/${randomUUID()}.png`;
  for (const [path, code] of [
    [fake, 'source_not_an_image'],
    [missing, 'source_not_found'],
  ]) {
    const id = randomUUID();
    const told = await listen(client, { table: 'image_generation_jobs', filter: `id=eq.${id}` });
    await submit(ME, { ...good, id, source_paths: [source, path] });
    const { new: row } = await told.until('it is over', (all) => all.find(({ new: heard }) => heard.finished_at));
    assert.deepEqual([row.status, row.error_code, row.failed_images], ['failed', code, 1]);
    assert.ok(row.error_message.includes(path), row.error_message);
    assert.deepEqual(await ok(jobs().select().eq('id', id).single()), row);
  }
});

report();
