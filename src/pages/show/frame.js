// What stands around every page: the way to the others, and who is signed in.

import { refusal } from '../project/refusal.js';
import { signOut } from '../project/session.js';
import { announce } from './announce.js';
import { byId, element } from './element.js';

const PAGES = [
  ['/image-generator', 'Create'],
  ['/image-generator/jobs', 'Jobs'],
  ['/image-generator/templates', 'Templates'],
];

const header = element(
  'header',
  { class: 'top' },
  element('a', { class: 'skip', href: '#main' }, 'Skip to content'),
  element(
    'div',
    { class: 'top-inner' },
    element(
      'a',
      { class: 'brand', href: '/image-generator' },
      element('span', { class: 'mark', 'aria-hidden': 'true' }),
      'Carousel',
    ),
    element(
      'nav',
      { 'aria-label': 'Pages' },
      PAGES.map(([href, name]) => element('a', { href, 'aria-current': location.pathname === href && 'page' }, name)),
    ),
  ),
);
document.body.prepend(header);

/** Shows who is signed in, with the way out. */
export function welcome(user) {
  header.firstChild.nextSibling.append(
    element(
      'div',
      { class: 'who' },
      element('span', { class: 'quiet', title: user.email }, user.email),
      element('button', { type: 'button', class: 'button small', click: signOut }, 'Sign out'),
    ),
  );
}

/** Shows in the page's banner that rows can't be read, or hides it for `null`. */
export function tellConnection(error) {
  const banner = byId('banner');
  banner.hidden = !error;
  banner.textContent = error ? refusal(error).text : '';
}

/** Runs what a button does; says what went wrong. The button can't be pressed twice meanwhile. */
export async function act(button, work) {
  button.disabled = true;
  try {
    return await work();
  } catch (error) {
    announce(refusal(error).text);
  } finally {
    button.disabled = false;
  }
}
