// What a refused request says to a person: what is wrong, and what to do.

/** The database's codes (`error.details`; the README lists them), each in words, with the part of the form that it is about. */
const CODES = {
  user_missing: ['You are signed out. Sign in again.'],
  template_not_found: ['The template is not there any more. Create once more to make another one.'],
  prompt_missing: ['Write a prompt, or words for every slide.', 'prompt'],
  slide_prompt_missing: ['A slide has no text.', 'slides'],
  prompt_too_long: ['With slide, style and variants, a prompt would have more than 32,000 characters.', 'slides'],
  words_too_long: ['All words together are more than 256 kB. Write shorter ones.', 'slides'],
  sources_missing: ['Add at least one photo.', 'photos'],
  too_many_sources: ['A slide sees at most 16 photos, and a job takes 100. Take fewer, or a slide for each photo.', 'photos'],
  slide_prompts_mismatched: ['Give each photo its words, or none of them.', 'slides'],
  slide_sources_invalid: ['The template’s photos and slides don’t go together any more. Choose a slide for each photo, or use none of its slides.', 'slides'],
  source_path_invalid: ['A photo can’t be found. Remove it and add it again.', 'photos'],
  source_path_foreign: ['A photo is not yours. Remove it and add your own.', 'photos'],
  source_being_removed: ['A photo has just been deleted. Remove it and add it again.', 'photos'],
  variants_out_of_range: ['Choose 1 to 10 variants.', 'variants'],
  aspect_ratios_invalid: ['Choose at least one shape.', 'ratios'],
  too_many_images: ['A job makes at most 100 images. Take fewer variants, slides or shapes.', 'ratios'],
  variable_missing: [null, 'variables'],
};

/** What a constraint refuses comes with its name, for example `title_at_most_200_characters`. */
const CONSTRAINT = /violates check constraint "(\w+)"/;

/** `{ text, part }` for an error of supabase-js. */
export function refusal(error) {
  const [known, part] = CODES[error.details] ?? [];
  return { text: known ?? told(error), part };
}

function told({ message = '', hint, code, statusCode, name }) {
  const constraint = CONSTRAINT.exec(message)?.[1];
  if (constraint) return sentence(`Not accepted: ${constraint.replaceAll('_', ' ')}`);
  if (/fetch|network/i.test(message) || name === 'AuthRetryableFetchError') {
    return 'The project can’t be reached. Nothing is lost: try again in a moment.';
  }
  if (code === '42501' || statusCode === '403') return 'You may not do this. Sign out and in again if it is yours.';
  if (code === 'PGRST116' || statusCode === '404') return 'This is not there any more.';
  if (statusCode === '413') return 'The file is too large.';
  if (statusCode === '415') return 'Files of this kind are not accepted.';
  return [message, hint].filter(Boolean).map(sentence).join(' ');
}

function sentence(text) {
  const ended = /[.!?]$/.test(text) ? text : `${text}.`;
  return ended[0].toUpperCase() + ended.slice(1);
}
