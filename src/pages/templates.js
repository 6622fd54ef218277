// /image-generator/templates: the gallery of what was used before, to be used again.

import { ok, supabase } from './project/client.js';
import { follow } from './project/live.js';
import { Rows } from './project/rows.js';
import { signedIn } from './project/session.js';
import { byId } from './show/element.js';
import { tellConnection, welcome } from './show/frame.js';
import { templateCard } from './show/template.js';

const PAGE = 24;

const user = await signedIn();
welcome(user);

/** What stands on the page, by the template's id. */
const cards = new Map();
let limit = PAGE;
const templates = new Rows(readTemplates, show);
follow(user, [{ table: 'image_generation_templates', filter: `user_id=eq.${user.id}`, rows: templates }], {
  isExpecting: () => false,
  tell: tellConnection,
});

const read = () => templates.read().catch(tellConnection);
for (const [id, event] of [
  ['search', 'input'],
  ['favourites', 'change'],
]) {
  byId(id).addEventListener(event, () => {
    limit = PAGE;
    show(templates.all);
    read();
  });
}
byId('older').addEventListener('click', () => {
  limit += PAGE;
  read();
});

/** The words that are looked for, each of which must be there. */
const words = () => byId('search').value.toLowerCase().split(/\s+/).filter(Boolean);

function readTemplates() {
  let query = supabase.from('image_generation_templates').select();
  if (byId('favourites').checked) query = query.is('is_favorite', true);
  for (const word of words()) query = query.ilike('search_text', `%${word.replaceAll(/[\\%_]/g, '\\$&')}%`);
  return ok(query.order('created_at', { ascending: false }).order('id').limit(limit));
}

/** The same question for a row that is here: the page answers before the database has. */
function isWanted({ name, description, tags, prompt, slide_prompts: slides, is_favorite: favourite }) {
  if (byId('favourites').checked && !favourite) return false;
  const text = [name, description, ...tags, prompt, ...slides].join(' ').toLowerCase();
  return words().every((word) => text.includes(word));
}

function show(rows) {
  const shown = rows.filter(isWanted).sort((one, other) => Date.parse(other.created_at) - Date.parse(one.created_at));
  for (const [id, { item }] of cards) {
    if (shown.some((template) => template.id === id)) continue;
    item.remove();
    cards.delete(id);
  }
  const list = byId('templates');
  for (const [place, template] of shown.entries()) {
    if (!cards.has(template.id))
      cards.set(
        template.id,
        templateCard((columns) => templates.wrote(template.id, columns), gone),
      );
    const { item, update } = cards.get(template.id);
    update(template);
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
  }
  list.removeAttribute('aria-busy');
  byId('empty').hidden = shown.length > 0;
  const isSearch = byId('search').value || byId('favourites').checked;
  byId('empty').textContent = isSearch
    ? 'No template is like this.'
    : 'No templates yet. The first job with new photos makes one by itself.';
  byId('older').hidden = rows.length < limit;
}

/** Takes away what this page has deleted, without waiting to be told. */
function gone(id) {
  templates.change({ eventType: 'DELETE', old: { id } });
  byId('search').focus();
}
