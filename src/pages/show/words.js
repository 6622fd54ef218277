// Rows in words.

export const STATUS = {
  pending: 'Waiting',
  processing: 'Under way',
  generating: 'Being made',
  completed: 'Ready',
  partial: 'Partly ready',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

/** Whether a job is over, until somebody asks for a retry. */
export const isOver = ({ status }) => !['pending', 'processing'].includes(status);

/** How many slides each carousel of a job has; of one that is still put together with so many photos. */
export const slideCount = ({ slides_from: from, slide_prompts: prompts, source_paths: paths }, photos = paths?.length) =>
  from === 'sources' ? photos : Math.max(1, prompts.length);

/** A shape in words. */
export const shapeOf = (ratio) => (ratio === 'auto' ? 'as the photo' : ratio);

/** What a job is called. */
export function titleOf({ title, prompt, slide_prompts: slides }) {
  const words = [title, prompt, ...(slides ?? [])].map((text) => text?.trim()).find(Boolean) ?? 'A carousel';
  return words.length > 90 ? `${words.slice(0, 88).trimEnd()}…` : words;
}

/** The value of a style option. */
export function worded(value) {
  if (Array.isArray(value)) return value.map(worded).join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** What is happening to a job, in words. */
export function messageOf(job) {
  if (job.status === 'failed' && job.error_message) return job.error_message;
  return job.message ?? (job.status === 'pending' ? 'Waiting for a worker' : STATUS[job.status]);
}

export const dollars = (amount) => `$${amount.toFixed(amount > 0 && amount < 0.1 ? 3 : 2)}`;

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

const ago = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const STEPS = [
  [60, 'second'],
  [60, 'minute'],
  [24, 'hour'],
  [7, 'day'],
  [Infinity, 'week'],
];

/** How long ago a time of the database is. */
export function since(time) {
  let amount = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (amount < 45) return 'just now';
  for (const [length, unit] of STEPS) {
    if (amount < length) return ago.format(-Math.floor(amount), unit);
    amount /= length;
  }
}

/** A time of the database as a person reads it. */
export const moment = (time) => new Date(time).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'short' });

export const bytes = (amount) => (amount < 1e6 ? `${Math.ceil(amount / 1e3)} kB` : `${(amount / 1e6).toFixed(1)} MB`);

/** How long a job took, or has taken. */
export function duration({ started_at: started, finished_at: finished }) {
  if (!started) return null;
  const seconds = Math.max(
    0,
    Math.round(((finished ? Date.parse(finished) : Date.now()) - Date.parse(started)) / 1000),
  );
  return seconds < 90 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
