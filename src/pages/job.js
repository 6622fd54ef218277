// /image-generator/jobs/[id]: one job, filling while it is made.

import { Carousels } from './show/carousels.js';
import { ok, supabase } from './project/client.js';
import { follow } from './project/live.js';
import { Rows } from './project/rows.js';
import { signedIn } from './project/session.js';
import { announce, murmur } from './show/announce.js';
import { confirm } from './show/dialog.js';
import { downloadAll } from './show/download.js';
import { byId, element, icon } from './show/element.js';
import { act, tellConnection, welcome } from './show/frame.js';
import { STATUS, count, dollars, duration, isOver, messageOf, moment, shapeOf, titleOf, worded } from './show/words.js';

const id = location.pathname.split('/').pop();
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const user = await signedIn();
welcome(user);

let said = null;
const carousels = new Carousels((image, columns) => images.wrote(image, columns));
const jobs = new Rows(() => ok(supabase.from('image_generation_jobs').select().eq('id', id)), show);
const images = new Rows(() => ok(supabase.from('generated_carousel_images').select().eq('job_id', id)), show);

const finished = () => images.all.filter(({ status }) => status === 'completed');

if (UUID.test(id)) {
  const ofJob = { table: 'image_generation_jobs', filter: `id=eq.${id}`, event: 'job', isMine: (row) => row.id === id };
  const ofImages = {
    table: 'generated_carousel_images',
    filter: `job_id=eq.${id}`,
    event: 'image',
    isMine: (row) => row.job_id === id,
  };
  const parts = [
    { ...ofJob, rows: jobs },
    { ...ofImages, rows: images },
  ];
  follow(user, parts, { isExpecting, tell: tellConnection });
} else {
  showNothing();
}

/** Whether the rows are to change: the job is under way, or says of images what their rows don't yet. */
function isExpecting() {
  const job = jobs.get(id);
  return job && (!isOver(job) || finished().length !== job.completed_images);
}

const ask = (columns) => supabase.from('image_generation_jobs').update(columns).eq('id', id).select().single();

byId('cancel').addEventListener('click', ({ target }) => request(target, { cancel_requested_at: new Date() }));
byId('retry').addEventListener('click', ({ target }) => request(target, { retry_requested_at: new Date() }));
byId('download').addEventListener('click', ({ target }) =>
  act(target, async () => {
    const progress = (come) => (target.textContent = `Downloading ${come} of ${finished().length}`);
    await downloadAll(carousels.inOrder(finished()), `carousel-${id.slice(0, 8)}.zip`, progress);
  }).finally(() => (target.textContent = 'Download all')),
);
byId('delete').addEventListener('click', async ({ target }) => {
  const text = 'The job and its pictures are removed for good. Your photos and the template stay.';
  if (!(await confirm('Delete this job?', text, 'Delete'))) return;
  await act(target, async () => {
    await ok(supabase.from('image_generation_jobs').delete().eq('id', id));
    location.assign('/image-generator/jobs');
  });
});

/** Writes a wish to the job's row; a trigger turns it into what it asks for. */
async function request(button, columns) {
  await act(button, async () => {
    await ok(ask(columns));
    await Promise.all([jobs.read(), images.read()]);
  });
  // A button that has gone leaves the focus nowhere.
  if (button.hidden) byId('title').focus();
}

function show() {
  const job = jobs.get(id);
  if (!job) return jobs.isRead && showNothing();
  byId('empty').hidden = true;
  byId('job').hidden = false;
  const title = titleOf(job);
  byId('title').textContent = title;
  byId('title').tabIndex = -1;
  document.title = `${isOver(job) ? '' : `${job.progress}% `}${title} · Carousel`;
  byId('status').textContent = job.cancel_requested_at && !isOver(job) ? 'Cancelling' : STATUS[job.status];
  byId('status').dataset.status = job.status;
  const made = job.completed_images > 0 && job.cost_usd > 0;
  const facts = [
    count(job.total_images, 'image'),
    duration(job),
    made && dollars(job.cost_usd),
    moment(job.created_at),
  ];
  byId('facts').textContent = facts.filter(Boolean).join(' · ');
  byId('progress').value = job.progress;
  byId('progress').parentElement.hidden = isOver(job);
  byId('message').textContent = messageOf(job);

  byId('cancel').hidden = isOver(job) || Boolean(job.cancel_requested_at);
  byId('retry').hidden = !['partial', 'failed', 'cancelled'].includes(job.status);
  byId('download').hidden = finished().length === 0;
  byId('again').hidden = !job.template_id;
  byId('again').href = `/image-generator?template=${job.template_id}`;
  showFailure(job);
  carousels.show(job, images.all);
  showAsked(job);
  if (said && said !== job.status) (isOver(job) ? announce : murmur)(`${STATUS[job.status]}: ${messageOf(job)}`);
  said = job.status;
}

/** What failed, in words, each reason once. */
function showFailure(job) {
  const reasons = new Map(
    images.all.filter(({ status }) => status === 'failed').map((image) => [image.error_code, image.error_message]),
  );
  if (job.error_code && !reasons.has(job.error_code)) reasons.set(job.error_code, job.error_message);
  byId('failure').hidden = reasons.size === 0;
  byId('failure').replaceChildren(
    icon('alert'),
    element(
      'ul',
      {},
      [...reasons].map(([code, message]) =>
        element('li', {}, message ?? 'No reason given.', ' ', element('code', {}, code)),
      ),
    ),
  );
}

function showAsked(job) {
  const style = Object.entries(job.style ?? {}).map(
    ([name, value]) => `${name.replaceAll('_', ' ')}: ${worded(value)}`,
  );
  const rows = [
    ['Prompt', job.prompt],
    ['Slides', job.slides_from === 'sources' && 'One for each photo'],
    ...(job.slide_prompts ?? []).map((words, index) => [`Slide ${index + 1}`, words]),
    ['Style', style.join('\n')],
    ['Shapes', job.aspect_ratios?.map(shapeOf).join(', ')],
    ['Quality', job.quality],
    ['Number', id],
  ];
  const given = rows.filter(([, value]) => value);
  byId('asked').replaceChildren(
    ...given.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]),
  );
}

function showNothing() {
  byId('job').hidden = true;
  byId('empty').hidden = false;
  byId('empty').textContent = 'There is no such job among yours.';
}
