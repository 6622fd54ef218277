import assert from 'node:assert/strict';
import { claim, report } from '../supabase_js/claims.mjs';
import { ask } from '../supabase_js/talk.mjs';
import { APP, fillForm, look, noComplaints, person, pictures, says, send, shows } from './browser.mjs';

/** A page that nothing is kept from: what it shows has happened. */
const { page: sure } = await person();

/** A page of the same person with what stands between it and Realtime: `pass` says which messages get through. */
async function another(pass, { looks = true } = {}) {
  const page = await sure.context().newPage();
  const between = { page, sockets: new Set(), held: [], isCut: false };
  await page.routeWebSocket(/\/realtime\/v1\//, (socket) => {
    if (between.isCut) return socket.close();
    between.sockets.add(socket);
    socket.connectToServer().onMessage((message) => {
      const event = typeof message === 'string' ? JSON.parse(message)[3] : null;
      if (pass(event)) socket.send(message);
      else between.held.push(() => event === 'system' && socket.send(message));
    });
  });
  if (!looks) await withoutLooks(page);
  return between;
}

/** So that only what is being proved can have found the change. */
const withoutLooks = (page) =>
  page.addInitScript(() => {
    const real = window.setInterval;
    window.setInterval = (run, time, ...rest) => (time === 10_000 ? 0 : real(run, time, ...rest));
  });

/** A job whose pictures are being made until `release`; gives its id. */
async function held() {
  await ask('hold');
  await sure.goto(APP);
  await fillForm(sure, { prompt: 'a cup', ratios: ['4:5'] });
  const id = await send(sure);
  await sure.locator('.slide[data-status="generating"]').nth(1).waitFor();
  return id;
}

await claim('changes that Realtime loses are found by looking', async () => {
  const id = await held();
  const { page } = await another((event) => event !== 'broadcast');
  await page.goto(`${APP}/jobs/${id}`);
  await shows(page, 'Under way');
  await ask('release');
  await shows(page, 'Ready');
  await pictures(page, 2);
});

await claim('what changes before the server listens is found when it does', async () => {
  const id = await held();
  const between = await another((event) => !['broadcast', 'system'].includes(event), { looks: false });
  const { page } = between;
  await page.goto(`${APP}/jobs/${id}`);
  await shows(page, 'Under way');
  await ask('release');
  await shows(sure, 'Ready');
  const read = page.waitForRequest(/image_generation_jobs/);
  for (const pass of between.held) pass();
  await read;
  await shows(page, 'Ready');
  await pictures(page, 2);
});

await claim('after a lost connection what was missed is read', async () => {
  const id = await held();
  const between = await another(() => true, { looks: false });
  const { page } = between;
  await page.goto(`${APP}/jobs/${id}`);
  await shows(page, 'Under way');
  between.isCut = true;
  for (const socket of between.sockets) await socket.close();
  await ask('release');
  await shows(sure, 'Ready');
  const read = page.waitForRequest(/image_generation_jobs/);
  between.isCut = false;
  await read;
  await shows(page, 'Ready');
  await pictures(page, 2);
});

await claim('a read that began before a change does not take back what the change said', async () => {
  const id = await held();
  const { page } = await another(() => true, { looks: false });
  await page.goto(`${APP}/jobs/${id}`);
  await page.locator('.slide[data-status="generating"]').nth(1).waitFor();
  await page.evaluate(() => {
    window.seen = [];
    const look = () => {
      const now = [document.querySelector('#status'), ...document.querySelectorAll('.slide')].map(
        ({ dataset }) => dataset.status,
      );
      if (`${now}` !== `${window.seen.at(-1)}`) window.seen.push(now);
    };
    const options = { attributes: true, attributeFilter: ['data-status'], subtree: true };
    new MutationObserver(look).observe(document.querySelector('#job'), options);
  });
  // The database answers now; the page hears of it when all is over.
  let go;
  const gate = new Promise((resolve) => (go = resolve));
  const reads = /\/rest\/v1\/(image_generation_jobs|generated_carousel_images)/;
  const asked = [];
  await page.route(reads, async (route) => {
    const answer = await route.fetch();
    asked.push(answer.url());
    await gate;
    await route.fulfill({ response: answer });
  });
  const late = Promise.all([
    page.waitForResponse(/image_generation_jobs/),
    page.waitForResponse(/generated_carousel_images/),
  ]);
  await look(page);
  while (asked.length < 2) await page.evaluate(() => new Promise(requestAnimationFrame));
  await ask('release');
  await shows(page, 'Ready');
  await pictures(page, 2);
  go();
  await late;
  // Another read may have been held as well: each goes on before the way is free.
  await page.unrouteAll({ behavior: 'wait' });
  // The next read begins when the late one has been taken in.
  const next = Promise.all([
    page.waitForResponse(/image_generation_jobs/),
    page.waitForResponse(/generated_carousel_images/),
  ]);
  await look(page);
  await next;
  await shows(page, 'Ready');
  const seen = await page.evaluate(() => window.seen);
  assert.deepEqual(seen.at(-1), ['completed', 'completed', 'completed']);
  for (const place of [0, 1, 2]) {
    const states = seen.map((all) => all[place]);
    const after = states.slice(states.indexOf('completed'));
    assert.deepEqual([...new Set(after)], ['completed'], `it was taken back: ${JSON.stringify(seen)}`);
  }
});

/** Counts, in a page, how often a server said that it listens, by the channel's topic. */
function countJoins() {
  window.joins = [];
  const Real = window.WebSocket;
  window.WebSocket = class extends Real {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', ({ data }) => {
        const [, , topic, event, payload] = typeof data === 'string' ? JSON.parse(data) : [];
        if (event === 'system' && payload.status === 'ok') window.joins.push(topic);
      });
    }
  };
}

/** Waits until the server has so often said that it listens for a channel of this kind. */
const joined = (page, times, kind) =>
  page.waitForFunction(([wanted, begin]) => window.joins.filter((topic) => topic.startsWith(begin)).length >= wanted, [times, kind]);

await claim('a channel that the server closes for good is joined again', async () => {
  const id = await held();
  const page = await sure.context().newPage();
  await withoutLooks(page);
  await page.addInitScript(countJoins);
  await page.goto(`${APP}/jobs/${id}`);
  await shows(page, 'Under way');
  await joined(page, 1, 'realtime:carousel:');
  await ask('close_channels');
  await joined(page, 2, 'realtime:carousel:');
  await ask('release');
  await shows(page, 'Ready');
  await pictures(page, 2);
});

await claim('where the project has no private channels the tables are listened to, and a row told in part is shown whole', async () => {
  await ask('sql', { statements: 'drop policy "carousel: people hear their own channel" on realtime.messages' });
  const id = await held();
  const page = await sure.context().newPage();
  await withoutLooks(page);
  await page.addInitScript(countJoins);
  await page.goto(`${APP}/jobs/${id}`);
  await joined(page, 1, 'realtime:pages-');
  const list = await sure.context().newPage();
  await withoutLooks(list);
  await list.addInitScript(countJoins);
  await list.goto(`${APP}/jobs`);
  await joined(list, 1, 'realtime:pages-');
  await ask('release');
  await shows(page, 'Ready');
  await pictures(page, 2);
  // Above a megabyte in the log, where each quotation mark takes two bytes: no nulls, no texts.
  await ask('sql', {
    statements: `insert into public.image_generation_jobs (user_id, prompt, slide_prompts, source_paths, run_at)
      select user_id, 'A large one', array_fill(repeat(chr(1), 12000), array[18]), source_paths, '2999-01-01'
      from public.image_generation_jobs where id = '${id}'`,
  });
  await says(list, '.job-title', 'A large one');
  await ask('sql', { statements: 'select carousel_private.set_up_broadcasts()' });
});

await claim('nothing but the cut connections was complained of', () => noComplaints(/WebSocket/));
report();
