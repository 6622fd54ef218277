// A template's card: its photos, its words, and what can be done with it.

import { ok, supabase } from '../project/client.js';
import { signed } from '../project/signed.js';
import { confirm, open } from './dialog.js';
import { element, iconButton } from './element.js';
import { act } from './frame.js';
import { count, since } from './words.js';

/** A card, and `update` to show a row on it. `wrote` gets the columns that were written, `gone` the id when it was deleted. */
export function templateCard(wrote, gone) {
  let row = null;
  const write = async (columns) => {
    await ok(supabase.from('image_generation_templates').update(columns).eq('id', row.id).select('id').single());
    wrote(columns);
  };
  const photos = element('div', { class: 'mosaic' });
  const name = element('h2', {});
  const prompt = element('p', { class: 'quiet template-prompt' });
  const tags = element('ul', { class: 'tags', 'aria-label': 'Tags' });
  const uses = element('p', { class: 'quiet' });
  const use = element('a', { class: 'button primary' }, 'Use Template');
  const heart = iconButton('heart', '', () => act(heart, () => write({ is_favorite: !row.is_favorite })));
  const edit = iconButton('edit', '', () => change(edit, row, write));
  const remove = iconButton('trash', '', () => erase(remove, row, gone));
  const item = element(
    'li',
    { class: 'template card' },
    photos,
    element('div', { class: 'template-words' }, name, prompt, tags, uses),
    element('div', { class: 'template-foot' }, use, heart, edit, remove),
  );
  const update = (template) => {
    if (`${row?.source_paths}` !== `${template.source_paths}`) showPhotos(photos, template.source_paths);
    row = template;
    name.textContent = row.name;
    prompt.textContent = row.prompt || row.slide_prompts.join(' · ');
    tags.replaceChildren(...row.tags.map((tag) => element('li', {}, tag)));
    uses.textContent =
      row.use_count > 0 ? `Used ${count(row.use_count, 'time')}, ${since(row.last_used_at)}` : 'Not used yet';
    use.href = `/image-generator?template=${row.id}`;
    use.setAttribute('aria-label', `Use Template ${row.name}`);
    heart.setAttribute('aria-pressed', String(row.is_favorite));
    for (const [button, does] of [
      [heart, 'Favourite'],
      [edit, 'Rename or tag'],
      [remove, 'Delete'],
    ]) {
      button.setAttribute('aria-label', `${does} ${row.name}`);
      button.title = does;
    }
  };
  return { item, update };
}

/** Up to four photos; a photo that is not there any more leaves its place empty. */
function showPhotos(place, paths) {
  const images = paths.slice(0, 4).map((path) => {
    const image = element('img', { alt: '', loading: 'lazy', decoding: 'async' });
    signed(path).then(
      (url) => (image.src = url),
      () => image.classList.add('is-missing'),
    );
    return image;
  });
  place.dataset.photos = images.length;
  place.replaceChildren(...images);
}

async function change(button, row, write) {
  const name = element('input', { id: 'template-name', type: 'text', maxlength: 200, required: true, value: row.name });
  const tags = element('input', {
    id: 'template-tags',
    type: 'text',
    value: row.tags.join(', '),
    placeholder: 'summer, shop',
  });
  const answer = await open(
    'Rename or tag',
    [
      element('label', { for: 'template-name' }, 'Name'),
      name,
      element('label', { for: 'template-tags' }, 'Tags, by comma'),
      tags,
    ],
    [
      element('button', { class: 'button', value: '', formnovalidate: true }, 'Cancel'),
      element('button', { class: 'button primary', value: 'save' }, 'Save'),
    ],
  );
  if (answer !== 'save') return;
  const listed = tags.value
    .split(',')
    .map((tag) => tag.trim())
    .filter(Boolean);
  await act(button, () => write({ name: name.value.trim(), tags: [...new Set(listed)] }));
}

async function erase(button, row, gone) {
  const text = `“${row.name}” is removed for good, with the photos that nothing else uses. Jobs that were made from it stay.`;
  if (!(await confirm('Delete this template?', text, 'Delete'))) return;
  await act(button, async () => {
    await ok(supabase.from('image_generation_templates').delete().eq('id', row.id));
    gone(row.id);
  });
}
