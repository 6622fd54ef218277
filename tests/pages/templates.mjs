import assert from 'node:assert/strict';
import { claim, report } from '../supabase_js/claims.mjs';
import { ask } from '../supabase_js/talk.mjs';
import { APP, fillForm, noComplaints, person, pictures, says, send, shows } from './browser.mjs';

const { page } = await person();
const rows = () => ask('rows', { query: 'select * from public.image_generation_templates order by created_at' });

await fillForm(page, { prompt: 'a {{drink}} on the table', slides: ['near', 'far'], ratios: ['9:16'] });
await page.getByLabel('drink').fill('tea');
await page.getByRole('textbox', { name: 'mood' }).fill('calm');
await send(page);
await shows(page, 'Ready');
const [made] = await rows();

await claim('the first job with new photos has made a template, which shows them', async () => {
  await page.getByRole('link', { name: 'Templates' }).click();
  await says(page, '.template h2', 'a tea on the table');
  await page.waitForFunction(
    () => [...document.querySelectorAll('.mosaic img')].filter((image) => image.naturalWidth > 0).length === 2,
  );
});

await claim('it is renamed and tagged', async () => {
  await page.getByRole('button', { name: /^Rename or tag/ }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('Tea time');
  await dialog.getByLabel('Tags, by comma').fill('shop, summer, shop, ');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await says(page, '.template h2', 'Tea time');
  const [row] = await rows();
  assert.deepEqual([row.name, row.tags], ['Tea time', ['shop', 'summer']]);
});

await claim('it is found by words of its name, its prompt and its tags, and by its mark', async () => {
  for (const [words, isThere] of [
    ['TEA', true],
    ['drink table', true],
    ['summer', true],
    ['coffee', false],
    ['%', false],
    ['a,b)"\\', false],
  ]) {
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.url().includes('search_text')),
      page.getByLabel('Search templates').fill(words),
    ]);
    assert.equal((await answer.json()).length, isThere ? 1 : 0, words);
    if (isThere) await page.locator('.template').waitFor();
    else await page.getByText('No template is like this.').waitFor();
  }
  await page.getByLabel('Search templates').fill('');
  await page.getByLabel('Favourites').check();
  await page.getByText('No template is like this.').waitFor();
  await page.getByLabel('Favourites').uncheck();
  await page.getByRole('button', { name: 'Favourite Tea time' }).click();
  await page.locator('[aria-pressed="true"]').waitFor();
  await page.getByLabel('Favourites').check();
  await says(page, '.template h2', 'Tea time');
});

await claim('Use Template fills the form, and another value makes another job of the same template', async () => {
  await page.getByRole('link', { name: 'Use Template Tea time' }).click();
  await says(page, '#template-note', 'Tea time');
  assert.equal(await page.getByRole('textbox', { name: 'Prompt' }).inputValue(), 'a {{drink}} on the table');
  assert.equal(await page.getByLabel('Text of slide 2').inputValue(), 'far');
  assert.equal(await page.getByRole('textbox', { name: 'mood' }).inputValue(), 'calm');
  assert.equal(await page.getByLabel('drink').inputValue(), 'tea');
  await says(page, '#total', '4 images');
  assert.equal(await page.locator('.photo').count(), 2);
  await page.getByLabel('drink').fill('coffee');
  await send(page);
  await shows(page, 'Ready');
  await pictures(page, 4);
  const jobs = await ask('rows', {
    query: 'select prompt, template_id, source_paths from public.image_generation_jobs order by created_at',
  });
  assert.deepEqual(
    jobs.map(({ prompt }) => prompt),
    ['a tea on the table', 'a coffee on the table'],
  );
  assert.deepEqual([jobs[1].template_id, jobs[1].source_paths], [made.id, made.source_paths]);
  const [{ use_count: uses, prompt }] = await rows();
  assert.deepEqual([uses, prompt], [2, 'a {{drink}} on the table']);
});

await claim('its job leads back to it', async () => {
  await page.getByRole('link', { name: 'Make another' }).click();
  await says(page, '#template-note', 'Tea time');
});

await claim('it is deleted when that is confirmed, and its jobs stay', async () => {
  await page.goto(`${APP}/templates`);
  await page.getByRole('button', { name: 'Delete Tea time' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('No templates yet.').waitFor();
  assert.deepEqual(await rows(), []);
  assert.equal((await ask('rows', { query: 'select id from public.image_generation_jobs' })).length, 2);
});

await claim('nothing was complained of', () => noComplaints());
report();
