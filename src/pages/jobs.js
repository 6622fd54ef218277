// /image-generator/jobs: the person's jobs, newest first, as they go on.

import { ok, supabase } from './project/client.js';
import { follow } from './project/live.js';
import { Rows } from './project/rows.js';
import { signedIn } from './project/session.js';
import { byId, element } from './show/element.js';
import { tellConnection, welcome } from './show/frame.js';
import { picture } from './show/picture.js';
import { STATUS, count, isOver, messageOf, since, titleOf } from './show/words.js';

const PAGE = 30;
const COLUMNS =
  'id, title, prompt, slide_prompts, status, progress, message, error_message, total_images, completed_images, aspect_ratios, created_at, updated_at';

const user = await signedIn();
welcome(user);

/** What stands on the page, by the job's id. */
const items = new Map();
let limit = PAGE;
const jobs = new Rows(readJobs, show);
const part = { table: 'image_generation_jobs', filter: `user_id=eq.${user.id}`, event: 'job', isMine: () => true };
follow(user, [{ ...part, rows: jobs }], {
  isExpecting: () => jobs.all.some((job) => !isOver(job)),
  tell: tellConnection,
});

const read = () => jobs.read().catch(tellConnection);
byId('filter').addEventListener('change', () => {
  limit = PAGE;
  show(jobs.all);
  read();
});
byId('older').addEventListener('click', () => {
  limit += PAGE;
  read();
});

/** The statuses that are shown; nothing for all. */
const statuses = () => byId('filter').value.split(',').filter(Boolean);

function readJobs() {
  const query = supabase.from('image_generation_jobs').select(COLUMNS).order('created_at', { ascending: false });
  return ok((statuses().length > 0 ? query.in('status', statuses()) : query).order('id').limit(limit));
}

function show(rows) {
  const wanted = statuses();
  const shown = rows
    .filter(({ status }) => wanted.length === 0 || wanted.includes(status))
    .sort((one, other) => Date.parse(other.created_at) - Date.parse(one.created_at));
  for (const id of items.keys()) if (!shown.some((job) => job.id === id)) remove(id);
  for (const [place, job] of shown.entries()) {
    if (!items.has(job.id)) items.set(job.id, makeItem(job));
    const { item, update } = items.get(job.id);
    update(job);
    // A node that is moved loses the focus: only what is elsewhere is.
    if (byId('jobs').children[place] !== item) byId('jobs').insertBefore(item, byId('jobs').children[place] ?? null);
  }
  byId('jobs').removeAttribute('aria-busy');
  byId('empty').hidden = shown.length > 0;
  byId('empty').textContent =
    wanted.length > 0 ? 'No job is like this.' : 'No jobs yet. Your first carousel begins with a photo.';
  byId('older').hidden = rows.length < limit;
  showCovers(shown);
}

function remove(id) {
  items.get(id).item.remove();
  items.delete(id);
}

function makeItem(job) {
  const cover = picture('1:1', '');
  const title = element('span', { class: 'job-title' });
  const message = element('span', { class: 'quiet job-message' });
  const chip = element('span', { class: 'chip' });
  const bar = element('progress', { max: 100, 'aria-hidden': 'true' });
  const link = element(
    'a',
    { class: 'job-item', href: `/image-generator/jobs/${job.id}` },
    cover,
    element('span', { class: 'job-words' }, title, message, bar),
    element('span', { class: 'job-state' }, chip),
  );
  const update = (row) => {
    title.textContent = titleOf(row);
    const words = row.status === 'completed' ? count(row.completed_images, 'image') : messageOf(row);
    message.textContent = [words, since(row.created_at)].join(' · ');
    chip.textContent = row.status === 'processing' ? `${row.progress}%` : STATUS[row.status];
    chip.dataset.status = row.status;
    link.dataset.status = row.status;
    bar.value = row.progress;
    bar.hidden = isOver(row);
  };
  return { item: element('li', {}, link), update, cover, hasCover: false };
}

/** Asks once for the covers of jobs that have got a picture since. */
async function showCovers(rows) {
  const without = rows
    .filter(({ id, completed_images: made }) => made > 0 && !items.get(id).hasCover)
    .map(({ id }) => id);
  if (without.length === 0) return;
  for (const id of without) items.get(id).hasCover = true;
  const columns = 'job_id, cover_path, cover_thumbhash';
  const covers = await supabase
    .from('generated_carousels')
    .select(columns)
    .in('job_id', without)
    .not('cover_path', 'is', null);
  // A cover is an ornament: without it the list is whole.
  for (const { job_id: id, cover_path: path, cover_thumbhash: thumbhash } of covers.data ?? []) {
    items.get(id)?.cover.show({ storage_path: path, thumbhash });
  }
}
