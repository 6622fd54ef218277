// A Chromium, people in windows of their own, and what they do on every page.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { deployment } from '../supabase_js/talk.mjs';

const require = createRequire(process.env.CAROUSEL_PACKAGES);
const { chromium } = require('playwright-core');

/** How long a thing may take to show, in milliseconds: this machine may have much else to do. */
const PATIENCE = 60_000;

export const APP = `${deployment.app}/image-generator`;
export const PASSWORD = 'correct horse';

const browser = await chromium.launch({
  executablePath: deployment.chromium,
  // A sandbox needs another user than root, and shared memory that containers don't have.
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
});

/** What pages complained of: console errors, exceptions, violations of the content policy. */
const complaints = [];

/** A window of a new person, nobody signed in. Options are those of a browser context. */
export async function window(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 800 }, ...options });
  context.setDefaultTimeout(PATIENCE);
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sample }) =>
      console.error(`policy: ${violatedDirective} ${blockedURI} ${sample}`),
    );
  });
  const page = await context.newPage();
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.stack));
  return page;
}

/** Makes an account by the form that stands on the page. */
export async function signUp(page, email = `${randomUUID()}@example.com`) {
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Make an account' }).click();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
  return email;
}

/** A window with a new person signed in, on the page for new carousels. */
export async function person(options) {
  const page = await window(options);
  await page.goto(APP);
  const email = await signUp(page);
  return { page, email };
}

/** Holds requests to such addresses back until the function that it gives is called. */
export async function holdBack(page, addresses) {
  let go;
  const gate = new Promise((resolve) => (go = resolve));
  await page.route(addresses, async (route) => {
    await gate;
    await route.continue();
  });
  return async () => {
    go();
    await page.unrouteAll({ behavior: 'wait' });
  };
}

/** Waits until the form takes what a person does. */
export const formIsOpen = (page) => page.locator('#form:not([inert])').waitFor();

/** Chooses the deployment's photos, and waits until they are uploaded. */
export async function choosePhotos(page, photos = deployment.photos) {
  await formIsOpen(page);
  const files = photos.map(({ name, mime, bytes }) => ({ name, mimeType: mime, buffer: bytes }));
  const before = await page.locator('.photo[data-uploaded]').count();
  await page.locator('#files').setInputFiles(files);
  await page
    .locator('.photo[data-uploaded]')
    .nth(before + photos.length - 1)
    .waitFor();
}

/** Fills the form with photos, prompt, slides and ratios besides 1:1. */
export async function fillForm(page, { prompt, slides = [], ratios = [] }) {
  await choosePhotos(page);
  await page.getByRole('textbox', { name: 'Prompt' }).fill(prompt);
  for (const [index, words] of slides.entries()) {
    await page.getByRole('button', { name: 'Add slide' }).click();
    await page.getByLabel(`Text of slide ${index + 1}`).fill(words);
  }
  for (const ratio of ratios) await page.locator(`#ratios input[value="${ratio}"]`).check({ force: true });
}

/** Sends the form, and gives the job's id once its page is there. */
export async function send(page) {
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]{36}$/);
  await page.locator('#title').waitFor();
  return page.url().split('/').pop();
}

/** Waits until the job's page shows this status. */
export const shows = (page, status) => page.locator('#status', { hasText: new RegExp(`^${status}$`) }).waitFor();

/** Comes back to a page that was in the background. */
export const look = (page) => page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));

/** Waits until an element says this. */
export const says = (page, selector, text) => page.locator(selector).filter({ hasText: text }).first().waitFor();

/** Waits until so many pictures stand on the page, whole. */
export const pictures = (page, count) =>
  page.waitForFunction(
    (wanted) => {
      const shown = [...document.querySelectorAll('.picture[data-shown="picture"] .sharp')];
      return shown.filter((image) => image.complete && image.naturalWidth > 0).length === wanted;
    },
    count,
    { timeout: PATIENCE },
  );

/** Nothing was complained of. What a claim provoked on purpose it names, as expressions. */
export function noComplaints(...provoked) {
  const unexpected = complaints.filter((text) => !provoked.some((expected) => expected.test(text)));
  assert.deepEqual(unexpected, []);
}
