// /image-generator: what to make, of what, and what it costs; then a row in image_generation_jobs.

import { estimate, factors, imageCount } from './form/estimate.js';
import { Fields } from './form/fields.js';
import { Slides } from './form/slides.js';
import { Sources } from './form/sources.js';
import { Style } from './form/style.js';
import { Variables, namesIn } from './form/variables.js';
import { config, ok, supabase } from './project/client.js';
import { refusal } from './project/refusal.js';
import { signedIn } from './project/session.js';
import { byId } from './show/element.js';
import { act, tellConnection, welcome } from './show/frame.js';
import { count, dollars } from './show/words.js';

const user = await signedIn();
welcome(user);

const fields = new Fields(changed);
const slides = new Slides(changed);
const sources = new Sources(changed);
const isEach = () => byId('each-photo').checked;
const style = new Style(changed);
const variables = new Variables();
/** The template that the form was filled from. */
let template = null;
/** Names this request: sent twice, it is one job. What is changed is another request. */
let key = crypto.randomUUID();

const wanted = new URLSearchParams(location.search).get('template');
if (wanted) await fill(wanted).catch(tellConnection);
changed();

byId('form').addEventListener('input', changed);
byId('form').addEventListener('submit', (event) => {
  event.preventDefault();
  act(byId('submit'), submit);
});
// What a person did before somebody listens would be lost, or written over by the template.
byId('form').inert = false;

/** Shows what the form comes to now. */
function changed() {
  key = crypto.randomUUID();
  slides.follow(isEach() ? sources.photos : null);
  const job = read();
  variables.ask(namesIn(job.prompt, ...job.slide_prompts));
  const images = imageCount(job, sources.length);
  say('slides-help', slidesHelp(job));
  say('total', count(images, 'image'));
  const many = tooMany(images, sources.length, job);
  byId('total').classList.toggle('too-many', Boolean(many));
  say('factors', many ?? factors(job, sources.length));
  const cost = estimate(job, sources.length);
  say('cost', cost === null ? 'unknown' : `about ${dollars(cost)}`);
  const known = 'From published prices. What it did cost stands on the job; the provider counts tokens.';
  say('cost-help', cost === null ? `No price is known for ${config.model}.` : known);
}

function tooMany(images, photos, job) {
  if (images > 100) return 'A job makes at most 100: take fewer variants, slides or shapes.';
  if (isEach() || job.slide_sources || photos <= 16) return null;
  return 'A slide sees at most 16 photos: take fewer, or a slide for each photo.';
}

function slidesHelp(job) {
  if (isEach()) return 'Each slide sees its own photo alone. Words of its own are added to the prompt.';
  if (job.slide_sources) return 'Each slide sees the photos that the template names for it.';
  return job.slide_prompts.length > 0 ? 'Each slide sees all photos.' : 'Without slides, each carousel is a single picture.';
}

/** Sets a text that is another; a screen reader reads the same one again otherwise. */
function say(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

/** The row to insert, without its sources. */
function read() {
  const texts = slides.read();
  // What a template says of photos by their numbers holds for its own photos and slides.
  const named = isEach() || !sources.areFilled ? null : template?.slide_sources;
  return {
    ...fields.read(),
    slides_from: isEach() ? 'sources' : 'prompts',
    slide_prompts: texts,
    slide_sources: named?.length === Math.max(1, texts.length) ? named : null,
    style: style.read(),
  };
}

async function submit() {
  refuse(null);
  const missing = variables.missing();
  if (missing) return refuse({ text: `Give {{${missing}}} a value.`, part: 'variables' });
  const paths = await sources.paths();
  if (!paths) return refuse({ text: 'A photo could not be uploaded. Try it again or remove it.', part: 'photos' });
  const job = { ...read(), source_paths: paths, variables: variables.read(), idempotency_key: key };
  // Other photos make another template.
  if (template && `${template.source_paths}` === `${paths}`) job.template_id = template.id;

  const { data, error } = await supabase.from('image_generation_jobs').insert(job).select('id').single();
  const isRepeated = error?.code === '23505';
  if (error?.details === 'template_not_found') template = null;
  if (error && !isRepeated) return refuse(refusal(error));
  const { id } = isRepeated
    ? await ok(supabase.from('image_generation_jobs').select('id').eq('idempotency_key', job.idempotency_key).single())
    : data;
  location.assign(`/image-generator/jobs/${id}`);
}

/** Shows why there is no job, and brings the person to the part that it is about. */
function refuse(reason) {
  byId('refusal').hidden = !reason;
  byId('refusal').textContent = reason?.text ?? '';
  for (const part of document.querySelectorAll('.is-refused')) part.classList.remove('is-refused');
  const part = reason?.part && byId(`part-${reason.part}`);
  if (!part) return;
  part.classList.add('is-refused');
  part.querySelector('textarea, input, button')?.focus();
}

async function fill(id) {
  template = await ok(supabase.from('image_generation_templates').select().eq('id', id).single());
  fields.fill(template);
  style.fill(template.style);
  variables.fill(template.variables);
  sources.fill(template.source_paths);
  byId('each-photo').checked = template.slides_from === 'sources';
  slides.follow(isEach() ? sources.photos : null);
  slides.fill(template.slide_prompts);
  byId('template-note').hidden = false;
  byId('template-note').textContent = `From the template “${template.name}”`;
}
