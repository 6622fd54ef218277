import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { claim, report } from '../supabase_js/claims.mjs';
import { ask, deployment } from '../supabase_js/talk.mjs';
import { APP, PASSWORD, fillForm, noComplaints, pictures, says, send, shows, window } from './browser.mjs';

const axe = await readFile(createRequire(process.env.CAROUSEL_PACKAGES).resolve('axe-core/axe.min.js'), 'utf8');

/** Goes on with Tab until the element has the focus, which must be seen wherever it comes by. */
async function tabTo(page, locator, key = 'Tab') {
  for (let step = 0; step < 80; step += 1) {
    await page.keyboard.press(key);
    const blind = await page.evaluate(() => {
      // What is drawn by its label shows the focus there.
      const around = [document.activeElement, document.activeElement.closest('label')];
      const seen = around.some((place) => place && getComputedStyle(place).outlineStyle !== 'none');
      return seen || document.activeElement === document.body ? null : document.activeElement.outerHTML.slice(0, 120);
    });
    assert.equal(blind, null, 'it has the focus and does not show it');
    if (await locator.evaluate((element) => element === document.activeElement)) return;
  }
  assert.fail(`Tab never comes to ${locator}`);
}

const page = await window();

await claim('a carousel is made with a keyboard alone', async () => {
  const name = (role, named, options) => page.getByRole(role, { name: named, ...options });
  await page.goto(APP);
  await name('heading', 'Welcome').waitFor();
  await page.keyboard.type('keys@example.com');
  await page.keyboard.press('Tab');
  await page.keyboard.type(PASSWORD);
  await tabTo(page, name('button', 'Make an account'));
  await page.keyboard.press('Enter');
  await name('heading', 'Create a carousel').waitFor();
  await tabTo(page, name('link', 'Skip to content'));
  await page.keyboard.press('Enter');
  // Asked for early: the browser is told to hand choosers over, and a key pressed before it has heard opens a window of its own.
  const chosen = page.waitForEvent('filechooser');
  await tabTo(page, page.locator('#files'));
  await page.keyboard.press('Enter');
  const chooser = await chosen;
  const [{ mime, bytes }] = deployment.photos;
  await chooser.setFiles({ name: 'cup.png', mimeType: mime, buffer: bytes });
  await page.locator('.photo[data-uploaded]').waitFor();
  await tabTo(page, page.getByRole('textbox', { name: 'Prompt' }));
  await page.keyboard.type('a cup by keys');
  for (const words of ['one', 'two']) {
    await tabTo(page, name('button', 'Add slide'), 'Shift+Tab').catch(() => tabTo(page, name('button', 'Add slide')));
    await page.keyboard.press('Space');
    await page.keyboard.type(words);
  }
  await tabTo(page, name('button', 'Move slide 2 up'));
  await page.keyboard.press('Enter');
  // Moved to the top: the focus stays with the slide.
  assert.equal(await page.evaluate(() => document.activeElement.value), 'two');
  await tabTo(page, page.locator('#ratios input[value="9:16"]'));
  await page.keyboard.press('Space');
  await tabTo(page, page.getByLabel('Variants'));
  await page.keyboard.press('ArrowUp');
  await says(page, '#total', '8 images');
  await tabTo(page, name('button', 'Create', { exact: true }));
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/jobs\//);
  await shows(page, 'Ready');
  const [job] = await ask('rows', { query: 'select slide_prompts, aspect_ratios from public.image_generation_jobs' });
  assert.deepEqual(
    [job.slide_prompts, job.aspect_ratios],
    [
      ['two', 'one'],
      ['1:1', '9:16'],
    ],
  );
});

await claim('so is a job watched, marked, and deleted', async () => {
  await pictures(page, 8);
  const heart = page.getByRole('button', { name: 'Favourite Slide 1' }).first();
  await tabTo(page, heart);
  await page.keyboard.press('Space');
  await page.locator('[aria-pressed="true"]').waitFor();
  const remove = page.getByRole('button', { name: 'Delete', exact: true });
  await remove.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.waitForFunction(() => document.activeElement.id === 'delete');
  await page.keyboard.press('Enter');
  await tabTo(page, page.getByRole('dialog').getByRole('button', { name: 'Delete' }));
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/jobs$/);
  await page.getByText('No jobs yet.').waitFor();
});

/** The pages with much on them, each in words and with the way there. */
async function eachPage(page, look) {
  await page.goto(APP);
  await fillForm(page, {
    prompt: `a cup of {{drink}}, ${'verylongword'.repeat(12)}`,
    slides: ['one', 'x'.repeat(200)],
    ratios: ['9:16', '16:9'],
  });
  await page.getByLabel('drink').fill('tea');
  await page.getByText('More options').click();
  await look('create');
  const id = await send(page);
  await shows(page, 'Ready');
  await pictures(page, 6);
  await page.getByText('What was asked for').click();
  await look('job');
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('dialog').waitFor();
  await look('dialog');
  await page.goto(`${APP}/jobs`);
  await page.locator(`a[href$="${id}"][data-status="completed"]`).waitFor();
  await look('jobs');
  await page.goto(`${APP}/templates`);
  await page.locator('.template').first().waitFor();
  await look('templates');
}

for (const colorScheme of ['light', 'dark']) {
  await claim(
    `on a phone of 360 pixels nothing runs over the edge, and axe finds nothing (${colorScheme})`,
    async () => {
      const phone = await window({
        viewport: { width: 360, height: 740 },
        colorScheme,
        hasTouch: true,
        reducedMotion: 'reduce',
      });
      await phone.goto(APP);
      const look = async (name) => {
        const wide = await phone.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= 360, `${name} is ${wide} pixels wide`);
        await phone.evaluate(axe);
        const { violations } = await phone.evaluate(() => globalThis.axe.run());
        const told = violations.map(
          ({ id, nodes }) =>
            `${name}: ${id}: ${nodes.map(({ html, failureSummary }) => html + failureSummary).join('\n')}`,
        );
        assert.deepEqual(told, []);
      };
      await phone.getByRole('heading', { name: 'Welcome' }).waitFor();
      await look('door');
      await phone.getByLabel('E-mail').fill(`${colorScheme}@example.com`);
      await phone.getByLabel('Password').fill(PASSWORD);
      await phone.getByRole('button', { name: 'Make an account' }).tap();
      await phone.getByRole('heading', { name: 'Create a carousel' }).waitFor();
      await eachPage(phone, look);
    },
  );
}

await claim('nothing was complained of', () => noComplaints());
report();
