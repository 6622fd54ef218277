import assert from 'node:assert/strict';
import { claim, report } from '../supabase_js/claims.mjs';
import { ask } from '../supabase_js/talk.mjs';
import { APP, choosePhotos, formIsOpen, holdBack, noComplaints, person, says, send } from './browser.mjs';

const { page } = await person();
const create = () => page.getByRole('button', { name: 'Create', exact: true }).click();
const jobs = () => ask('rows', { query: 'select * from public.image_generation_jobs' });
const file = (name, mimeType, buffer = Buffer.from('x')) => ({ name, mimeType, buffer });

await claim('a file that is no photo is refused by its name, before it is sent', async () => {
  await page
    .locator('#files')
    .setInputFiles([file('notes.txt', 'text/plain'), file('empty.png', 'image/png', Buffer.alloc(0))]);
  await page.getByText('notes.txt: This is no PNG, JPEG or WebP picture.').waitFor();
  await page.getByText('empty.png: This file is empty.').waitFor();
  assert.equal(await page.locator('.photo').count(), 0);
});

await claim('a form that does not listen yet takes nothing that would be lost', async () => {
  const begin = await holdBack(page, '**/config.json');
  await page.goto(APP);
  const size = await page.evaluate(() => {
    const inputs = [...document.querySelectorAll('#form input, #form textarea, #form button')];
    for (const input of inputs) input.focus();
    return inputs.length;
  });
  assert.ok(size > 5);
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'BODY');
  const { x, y, width, height } = await page.locator('#submit').boundingBox();
  await page.mouse.click(x + width / 2, y + height / 2);
  await begin();
  await formIsOpen(page);
  assert.equal(page.url(), APP);
});

await claim('a form without photos or words is told so, at the part that lacks them', async () => {
  await create();
  await says(page, '#refusal', 'Write a prompt, or words for every slide.');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'prompt');
  await page.getByRole('textbox', { name: 'Prompt' }).fill('a cup');
  await create();
  await says(page, '#refusal', 'Add at least one photo.');
  await page.locator('#part-photos.is-refused').waitFor();
  assert.equal(await page.getByRole('textbox', { name: 'Prompt' }).inputValue(), 'a cup');
});

await claim('more than 100 images are told while they are counted, and refused', async () => {
  await choosePhotos(page);
  await page.getByLabel('Variants').fill('10');
  for (const ratio of ['4:5', '9:16', '3:4', '16:9'])
    await page.locator(`#ratios input[value="${ratio}"]`).check({ force: true });
  for (let slide = 0; slide < 3; slide += 1) await page.getByRole('button', { name: 'Add slide' }).click();
  await says(page, '#total', '150 images');
  await says(page, '#factors', 'at most 100');
  await create();
  await says(page, '#refusal', 'A job makes at most 100 images.');
  await page.getByLabel('Variants').fill('11');
  await create();
  await says(page, '#refusal', 'Choose 1 to 10 variants.');
  await page.getByLabel('Variants').fill('1');
});

await claim('a name without a value is asked for', async () => {
  await page.getByRole('textbox', { name: 'Prompt' }).fill('a {{drink}} and {{ food }}');
  await page.getByLabel('drink').fill('tea');
  await create();
  await says(page, '#refusal', 'Give {{food}} a value.');
  await page.getByLabel('food').fill('cake');
});

await claim('a photo that can’t be sent can be sent again', async () => {
  const uploads = '**/storage/v1/object/generated-carousels/**';
  await page.route(uploads, (route) => route.abort());
  await page.locator('#files').setInputFiles(file('late.png', 'image/png'));
  await page.locator('.photo.is-refused').waitFor();
  await create();
  await says(page, '#refusal', 'A photo could not be uploaded.');
  await page.unroute(uploads);
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.locator('.photo[data-uploaded]').nth(2).waitFor();
  assert.deepEqual(await jobs(), []);
});

await claim('an answer that is lost makes no second job', async () => {
  const inserts = '**/rest/v1/image_generation_jobs*';
  await page.route(inserts, async (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    await route.fetch();
    await route.abort();
    return page.unroute(inserts);
  });
  await create();
  await says(page, '#refusal', 'The project can’t be reached. Nothing is lost');
  assert.equal((await jobs()).length, 1);
  const id = await send(page);
  assert.deepEqual(
    (await jobs()).map((job) => job.id),
    [id],
  );
});

await claim('a job or template that is not there is told so', async () => {
  await page.goto(`${APP}/jobs/7`);
  await page.getByText('There is no such job among yours.').waitFor();
  await page.goto(`${APP}/jobs/00000000-0000-4000-8000-000000000000`);
  await page.getByText('There is no such job among yours.').waitFor();
  await page.goto(`${APP}?template=00000000-0000-4000-8000-000000000000`);
  await page.getByText('This is not there any more.').waitFor();
});

await claim('nothing else was complained of', () => noComplaints(/status of 4\d\d/, /ERR_FAILED/));
report();
