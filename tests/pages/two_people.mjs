import assert from 'node:assert/strict';
import { claim, report } from '../supabase_js/claims.mjs';
import { ask } from '../supabase_js/talk.mjs';
import { APP, fillForm, noComplaints, person, pictures, says, send, shows } from './browser.mjs';

const HOSTILE = {
  title: `<img src=x onerror="window.hacked=1"> "';--`,
  prompt: `</textarea></p><script>window.hacked = 2</script> {{{{ \${7*7} \u202egnp.exe`,
  slide: `<svg onload=window.hacked=3>`,
  style: `<iframe srcdoc="<script>parent.hacked=4</script>">`,
};

const [alice, bob] = [await person(), await person()];
const dialogs = [];
for (const { page } of [alice, bob]) page.on('dialog', (dialog) => dialogs.push(dialog.message()) && dialog.dismiss());
const bobsList = await bob.page.context().newPage();
await bobsList.goto(`${APP}/jobs`);
await bobsList.getByText('No jobs yet.').waitFor();
let alices;

await claim('a hostile text is shown as text, letter by letter', async () => {
  const { page } = alice;
  await fillForm(page, { prompt: HOSTILE.prompt, slides: [HOSTILE.slide] });
  await page.getByText('More options').click();
  await page.getByLabel('Title').fill(HOSTILE.title);
  await page.getByRole('button', { name: 'Add option' }).click();
  await page.getByLabel('Name of the option').fill(HOSTILE.style);
  await page.getByLabel('Value of the option').fill(HOSTILE.style);
  alices = await send(page);
  await shows(page, 'Ready');
  await pictures(page, 1);
  assert.equal(await page.locator('#title').textContent(), HOSTILE.title);
  await page.getByText('What was asked for').click();
  await says(page, '#asked dd', HOSTILE.prompt);
  await says(page, '#asked dd', HOSTILE.slide);
  await page.goto(`${APP}/jobs`);
  await says(page, '.job-title', HOSTILE.title);
  await page.goto(`${APP}/templates`);
  await says(page, '.template h2', HOSTILE.title);
  await page.getByRole('button', { name: /^Rename or tag/ }).click();
  await page.getByLabel('Tags, by comma').fill(HOSTILE.slide);
  await page.getByRole('button', { name: 'Save' }).click();
  await says(page, '.tags li', HOSTILE.slide);
  await page.getByRole('link', { name: /^Use Template/ }).click();
  await says(page, '#template-note', HOSTILE.title);
  assert.equal(await page.getByRole('textbox', { name: 'Prompt' }).inputValue(), HOSTILE.prompt);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.locator('iframe, svg[onload], img[src="x"], main script').count(), 0);
});

await claim('the other person’s list has stayed empty all the time, and is when it is read again', async () => {
  assert.equal(await bobsList.locator('.job-item').count(), 0);
  await bobsList.reload();
  await bobsList.getByText('No jobs yet.').waitFor();
  await bob.page.goto(`${APP}/templates`);
  await bob.page.getByText('No templates yet.').waitFor();
});

await claim('the address of somebody else’s job or template leads nowhere', async () => {
  const [{ id }] = await ask('rows', { query: 'select id from public.image_generation_templates' });
  await bob.page.goto(`${APP}/jobs/${alices}`);
  await bob.page.getByText('There is no such job among yours.').waitFor();
  assert.equal(await bob.page.locator('.picture').count(), 0);
  await bob.page.goto(`${APP}?template=${id}`);
  await bob.page.getByText('This is not there any more.').waitFor();
});

await claim('side by side each sees their own job only', async () => {
  const list = await alice.page.context().newPage();
  await list.goto(`${APP}/jobs`);
  await list.locator('.job-item').waitFor();
  await bob.page.goto(APP);
  await fillForm(bob.page, { prompt: 'a cup of bob' });
  const bobs = await send(bob.page);
  await bobsList.locator(`a[href$="${bobs}"][data-status="completed"]`).waitFor();
  await list.reload();
  await list.locator('.job-item').waitFor();
  for (const [page, id] of [
    [bobsList, bobs],
    [list, alices],
  ]) {
    const shown = await page.locator('.job-item').evaluateAll((all) => all.map(({ href }) => href.split('/').pop()));
    assert.deepEqual(shown, [id]);
  }
});

await claim('who signs out leaves nothing on the page, and nothing for who comes next', async () => {
  const { page } = alice;
  await page.goto(`${APP}/jobs/${alices}`);
  await shows(page, 'Ready');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Welcome' }).waitFor();
  assert.ok(!(await page.locator('body').textContent()).includes('onerror'));
  await page.getByLabel('E-mail').fill(bob.email);
  await page.getByLabel('Password').fill('correct horse');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByText('There is no such job among yours.').waitFor();
});

await claim('nothing was complained of', () => {
  assert.deepEqual(dialogs, []);
  noComplaints(/status of 406/);
});
report();
