import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { claim, report } from '../supabase_js/claims.mjs';
import { ask, deployment } from '../supabase_js/talk.mjs';
import { APP, PASSWORD, fillForm, holdBack, noComplaints, pictures, says, send, shows, signUp, window } from './browser.mjs';

const page = await window({ acceptDownloads: true });
let email;
let id;
let estimate;

await claim('who is not signed in sees the way in, and a wrong password is told in words', async () => {
  await page.goto(APP);
  await page.getByRole('heading', { name: 'Welcome' }).waitFor();
  assert.equal(await page.locator('#main').isVisible(), false);
  email = await signUp(page);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill('something else');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByText('E-mail or password is wrong.').waitFor();
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('heading', { name: 'Create a carousel' }).waitFor();
});

await claim('a file on its way shows how far it is, and arrives byte for byte', async () => {
  const go = await holdBack(page, '**/storage/v1/object/generated-carousels/**');
  const { name, mime, bytes } = deployment.photos[1];
  await page.locator('#files').setInputFiles({ name, mimeType: mime, buffer: bytes });
  await page.getByRole('progressbar', { name: `Upload of ${name}` }).waitFor();
  await go();
  await page.locator('.photo[data-uploaded]').waitFor();
  const [{ name: path }] = await ask('rows', { query: `select name from storage.objects` });
  const headers = { apikey: deployment.secretKey, authorization: `Bearer ${deployment.secretKey}` };
  const stored = await fetch(`${deployment.url}/storage/v1/object/generated-carousels/${path}`, { headers });
  assert.deepEqual(Buffer.from(await stored.arrayBuffer()), bytes);
});

await claim('a photo that is taken away again goes from the bucket', async () => {
  const gone = page.waitForResponse((answer) => answer.request().method() === 'DELETE');
  await page.getByRole('button', { name: `Remove ${deployment.photos[1].name}` }).click();
  await gone;
  assert.deepEqual(await ask('rows', { query: 'select name from storage.objects' }), []);
});

await claim('photos are dropped and pasted as well', async () => {
  for (const event of ['drop', 'paste']) {
    const before = await page.locator('.photo[data-uploaded]').count();
    await page.evaluate(
      ({ event, base64 }) => {
        const data = new DataTransfer();
        const photo = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        data.items.add(new File([photo], `${event}.png`, { type: 'image/png' }));
        const options = { bubbles: true, cancelable: true };
        document.body.dispatchEvent(
          event === 'drop'
            ? new DragEvent(event, { ...options, dataTransfer: data })
            : new ClipboardEvent(event, { ...options, clipboardData: data }),
        );
      },
      { event, base64: deployment.photos[0].bytes.toString('base64') },
    );
    await page.locator('.photo[data-uploaded]').nth(before).waitFor();
  }
  for (const name of ['drop.png', 'paste.png']) await page.getByRole('button', { name: `Remove ${name}` }).click();
});

await claim('the count and the cost are told before anything is sent', async () => {
  await fillForm(page, {
    prompt: 'the cup on {{place}}',
    slides: ['in the evening', 'in the morning'],
    ratios: ['4:5'],
  });
  await page.getByRole('button', { name: 'Move slide 2 up' }).click();
  await page.getByRole('button', { name: 'One variant more' }).click();
  await says(page, '#total', '8 images');
  await says(page, '#factors', '2 variants × 2 slides × 2 shapes');
  await page.getByRole('textbox', { name: 'mood' }).fill('calm');
  await page.getByLabel('place').fill('a table');
  await page.getByText('More options').click();
  await page.getByLabel(/^Previews/).selectOption('1');
  estimate = Number(/^about \$(\d\.\d+)$/.exec(await page.locator('#cost').textContent())[1]);
});

await claim('the job says what the form said', async () => {
  await ask('hold');
  id = await send(page);
  const [job] = await ask('rows', { query: `select * from public.image_generation_jobs where id = '${id}'` });
  assert.deepEqual(
    [job.prompt, job.slide_prompts, job.aspect_ratios, job.variants, job.style, job.partial_previews, job.variables],
    [
      'the cup on a table',
      ['in the morning', 'in the evening'],
      ['1:1', '4:5'],
      2,
      { mood: 'calm' },
      1,
      { place: 'a table' },
    ],
  );
  assert.equal(job.source_paths.length, 2);
});

await claim('the grid stands there at once, and shows previews while pictures are made', async () => {
  // A page that is loaded anew forgets this.
  await page.evaluate(() => (window.isSame = true));
  assert.equal(await page.locator('.slide').count(), 8);
  await page.locator('.slide[data-status="generating"]').first().waitFor();
  await page.locator('.picture[data-shown="preview"]').first().waitFor();
  assert.equal(await page.locator('.slide[data-status="completed"]').count(), 0);
});

await claim('it fills without being loaded again, each picture over its placeholder', async () => {
  await ask('release');
  await shows(page, 'Ready');
  await pictures(page, 8);
  const blurs = await page.locator('.blur').evaluateAll((all) => all.map(({ src }) => src.slice(0, 15)));
  assert.deepEqual(new Set(blurs), new Set(['data:image/png;']));
  assert.equal(await page.evaluate(() => window.isSame), true);
  const headings = await page.locator('.carousel h2').allTextContents();
  assert.deepEqual(headings, ['Variant 1 · 1:1', 'Variant 1 · 4:5', 'Variant 2 · 1:1', 'Variant 2 · 4:5']);
});

await claim('what the job did cost is shown, and of the order of its estimate', async () => {
  const query = `select cost_usd from public.image_generation_jobs where id = '${id}'`;
  const [{ cost_usd: cost }] = await ask('rows', { query });
  const shown = Number(/\$(\d\.\d+)/.exec(await page.locator('#facts').textContent())[1]);
  assert.ok(Math.abs(shown - cost) < 0.006, `${shown} is shown, it cost ${cost}`);
  assert.ok(estimate > cost / 3 && estimate < cost * 3, `estimated ${estimate}, it cost ${cost}`);
});

await claim('a favourite stays one', async () => {
  const heart = page.locator('.slide').nth(2).getByRole('button', { name: 'Favourite Slide 1' });
  await heart.click();
  await page.locator('[aria-pressed="true"]').waitFor();
  await page.reload();
  await page.locator('[aria-pressed="true"]').waitFor();
  assert.equal(await page.locator('[aria-pressed="true"]').count(), 1);
  const marked = await ask('rows', {
    query: 'select aspect_ratio, slide from public.generated_carousel_images where is_favorite',
  });
  assert.deepEqual(marked, [{ aspect_ratio: '4:5', slide: 1 }]);
});

await claim('one picture is downloaded as it lies in the bucket, and all come in one file', async () => {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download Slide 1' }).first().click(),
  ]);
  assert.equal(download.suggestedFilename(), 'variant-1_1x1_slide-1.png');
  const [{ bytes }] = await ask('rows', {
    query: `select bytes from public.generated_carousel_images where variant = 1 and slide = 1 and aspect_ratio = '1:1'`,
  });
  assert.equal((await readFile(await download.path())).length, bytes);
  const [all] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download all' }).click(),
  ]);
  const zip = await readFile(await all.path());
  assert.equal(zip.toString('latin1', 0, 2), 'PK');
  for (const ratio of ['1x1', '4x5']) assert.ok(zip.includes(`variant-2_${ratio}_slide-2.png`));
});

await claim('a picture is enlarged, and its neighbours are a key away', async () => {
  await page.getByRole('button', { name: 'Enlarge Slide 1' }).first().click();
  await says(page, '.lightbox-caption', 'Variant 1, slide 1, 1:1');
  await page.keyboard.press('ArrowRight');
  await says(page, '.lightbox-caption', 'Variant 1, slide 2, 1:1');
  await page.keyboard.press('Escape');
  await page.locator('.lightbox').waitFor({ state: 'detached' });
});

await claim('nothing was complained of', () => noComplaints(/status of 400/));
report();
