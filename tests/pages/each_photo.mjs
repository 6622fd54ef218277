import assert from 'node:assert/strict';
import { claim, report } from '../supabase_js/claims.mjs';
import { ask, deployment } from '../supabase_js/talk.mjs';
import { APP, choosePhotos, fillForm, formIsOpen, noComplaints, person, pictures, says, send, shows } from './browser.mjs';

const { page } = await person();
const [first, second] = deployment.photos;
const each = page.getByLabel('A slide for each photo');
const texts = () => page.locator('#slides textarea').evaluateAll((areas) => areas.map(({ value }) => value));
const shape = (ratio) => page.locator(`#ratios input[value="${ratio}"]`);
const newest = async () => {
  const [job] = await ask('rows', {
    query: 'select * from public.image_generation_jobs order by created_at desc limit 1',
  });
  return job;
};

await claim('with a slide for each photo the slides come and go with the photos, and each keeps its words', async () => {
  await fillForm(page, { prompt: 'as a watercolour', slides: ['a slide of my own'] });
  await page.locator('#files').setInputFiles({ name: 'third.png', mimeType: 'image/png', buffer: first.bytes });
  await page.locator('.photo[data-uploaded]').nth(2).waitFor();
  await says(page, '#factors', '1 variant × 1 slide × 1 shape');
  await each.check();
  assert.deepEqual(await texts(), ['', '', '']);
  await says(page, '#total', '3 images');
  await page.getByLabel('Text of slide 3').fill('the third');
  await page.getByRole('button', { name: `Remove ${first.name}` }).click();
  assert.deepEqual(await texts(), ['', 'the third']);
  await says(page, '#factors', '1 variant × 2 slides × 1 shape');
  // Who looks at the other way finds what they have written.
  await each.uncheck();
  assert.deepEqual(await texts(), ['a slide of my own']);
  await each.check();
  assert.deepEqual(await texts(), ['', 'the third']);
});

await claim('each photo becomes a slide of its own shape', async () => {
  await shape('1:1').uncheck({ force: true });
  await page.getByText('As the photo').click();
  assert.ok(await shape('auto').isChecked());
  await page.getByLabel('Variants').fill('2');
  await says(page, '#total', '4 images');
  const id = await send(page);
  await shows(page, 'Ready');
  await pictures(page, 4);
  const job = await newest();
  assert.deepEqual(
    [job.id, job.slides_from, job.slide_prompts, job.slide_sources, job.aspect_ratios, job.total_images],
    [id, 'sources', ['', 'the third'], null, ['auto'], 4],
  );
  await page.getByText('What was asked for').click();
  await says(page, '#asked dd', 'One for each photo');
  await says(page, '.carousel h2', 'Variant 2 · as the photo');
  const drawn = await page.locator('.picture').evaluateAll((frames) =>
    frames.map((frame) => {
      const { width, height } = frame.getBoundingClientRect();
      const { naturalWidth, naturalHeight } = frame.querySelector('.sharp');
      return Math.abs(width / height - naturalWidth / naturalHeight);
    }),
  );
  assert.ok(
    drawn.every((difference) => difference < 0.02),
    `a frame has its picture's shape: ${drawn}`,
  );
});

await claim('the template that it made brings it back, and words that nobody gave are not sent', async () => {
  const { template_id } = await newest();
  await page.goto(`${APP}?template=${template_id}`);
  await formIsOpen(page);
  assert.ok(await each.isChecked());
  assert.deepEqual(await texts(), ['', 'the third']);
  await page.getByLabel('Text of slide 2').fill(' ');
  await send(page);
  const job = await newest();
  assert.deepEqual([job.template_id, job.slides_from, job.slide_prompts], [template_id, 'sources', []]);
});

await claim('which photos a template names for its slides is kept while both are as they were', async () => {
  const { template_id: id } = await newest();
  await ask('sql', {
    statements: `update public.image_generation_templates set slides_from = 'prompts', slide_prompts = '{near,far}',
            slide_sources = '[[2], [1, 2]]' where id = '${id}'`,
  });
  await page.goto(`${APP}?template=${id}`);
  await formIsOpen(page);
  await says(page, '#slides-help', 'the photos that the template names');
  await send(page);
  assert.deepEqual((await newest()).slide_sources, [[2], [1, 2]]);
  await page.goto(`${APP}?template=${id}`);
  await choosePhotos(page, [second]);
  await says(page, '#slides-help', 'Each slide sees all photos.');
  await send(page);
  const job = await newest();
  assert.deepEqual([job.slides_from, job.slide_sources, job.source_paths.length], ['prompts', null, 3]);
});

await claim('more photos than a slide sees are told before they are sent', async () => {
  await page.goto(APP);
  await choosePhotos(
    page,
    Array.from({ length: 17 }, () => first),
  );
  await says(page, '#factors', 'A slide sees at most 16 photos');
  await page.getByRole('textbox', { name: 'Prompt' }).fill('many');
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await says(page, '#refusal', 'A slide sees at most 16 photos');
  await each.check();
  await says(page, '#factors', '1 variant × 17 slides × 1 shape');
});

await claim('nothing else was complained of', () => noComplaints(/status of 400/));
report();
