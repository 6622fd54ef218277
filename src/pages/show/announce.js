// What a person is told in passing: on the screen, and to screen readers.

import { element } from './element.js';

/** Milliseconds that a note stays on the screen. */
const STAYS = 6000;

const region = element('div', { class: 'notes', role: 'status', 'aria-live': 'polite' });
document.body.append(region);

/** Says something for a moment. */
export function announce(text) {
  const note = element('p', { class: 'note' }, text);
  region.append(note);
  setTimeout(() => note.remove(), STAYS);
}

/** Says something to screen readers only: the screen shows it already. */
export function murmur(text) {
  const note = element('p', { class: 'unseen' }, text);
  region.append(note);
  setTimeout(() => note.remove(), STAYS);
}
