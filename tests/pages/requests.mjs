import assert from 'node:assert/strict';
import { claim, report } from '../supabase_js/claims.mjs';
import { ask } from '../supabase_js/talk.mjs';
import { APP, fillForm, look, noComplaints, person, pictures, says, send, shows } from './browser.mjs';

const { page } = await person();
const list = await page.context().newPage();

await claim('a running job is cancelled, and the list in another tab sees it', async () => {
  await fillForm(page, { prompt: 'a cup', ratios: ['4:5'] });
  await ask('hold');
  const id = await send(page);
  await page.locator('.slide[data-status="generating"]').first().waitFor();
  await list.goto(`${APP}/jobs`);
  await list.locator(`a[href$="${id}"][data-status="processing"]`).waitFor();
  await page.getByRole('button', { name: 'Cancel', exact: true }).click();
  await shows(page, 'Cancelled');
  await list.locator(`a[href$="${id}"][data-status="cancelled"]`).waitFor();
  await ask('release');
});

await claim('a cancelled job is made after all', async () => {
  await page.getByRole('button', { name: 'Retry' }).click();
  await shows(page, 'Ready');
  await pictures(page, 2);
  assert.equal(await page.getByRole('button', { name: 'Retry' }).isVisible(), false);
});

await claim('what failed is told in words, and a retry makes only that', async () => {
  await page.goto(APP);
  await fillForm(page, { prompt: 'two things', slides: ['a good thought', 'a blocked thought'] });
  const before = await ask('calls');
  const id = await send(page);
  await shows(page, 'Partly ready');
  await says(page, '#failure', 'safety system refused');
  await says(page, '#failure code', 'moderation_blocked');
  await page.locator('.slide[data-status="failed"]').waitFor();
  await page.getByRole('button', { name: 'Retry' }).click();
  await shows(page, 'Ready');
  await pictures(page, 2);
  assert.equal(await page.locator('#failure').isVisible(), false);
  assert.equal((await ask('calls')) - before, 3);
  await list.locator(`a[href$="${id}"][data-status="completed"]`).waitFor();
});

await claim('the list shows one kind of job when asked', async () => {
  await list.getByLabel('Show').selectOption('Cancelled');
  await list.getByText('No job is like this.').waitFor();
  await list.getByLabel('Show').selectOption('Ready');
  await list.locator('.job-item').nth(1).waitFor();
  assert.equal(await list.locator('.job-item').count(), 2);
});

await claim('a job is deleted only when that is confirmed', async () => {
  const jobs = () => ask('rows', { query: 'select id from public.image_generation_jobs' });
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Keep' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal((await jobs()).length, 2);
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.waitForURL(/\/jobs$/);
  assert.equal((await jobs()).length, 1);
  // A delete is told to those only who follow the row by its id; the list is right when it is looked at.
  await look(list);
  await list.locator('.job-item').nth(1).waitFor({ state: 'detached' });
});

await claim('nothing was complained of', () => noComplaints());
report();
