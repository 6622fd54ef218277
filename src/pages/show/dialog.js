// Dialogs: modal, closed by Escape, with the focus back where it was.

import { element } from './element.js';

/** Opens a dialog and gives what its button said: its value, or an empty text when it was dismissed. */
export function open(heading, body, buttons) {
  const label = `dialog-${crypto.randomUUID()}`;
  const form = element(
    'form',
    { method: 'dialog' },
    element('h2', { id: label }, heading),
    ...body,
    element('div', { class: 'dialog-buttons' }, ...buttons),
  );
  const dialog = element('dialog', { 'aria-labelledby': label }, form);
  document.body.append(dialog);
  dialog.addEventListener('click', ({ target }) => {
    if (target === dialog) dialog.close('');
  });
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}

/** Asks before what can't be undone. */
export async function confirm(heading, text, action) {
  const answer = await open(
    heading,
    [element('p', {}, text)],
    [
      element('button', { class: 'button', value: '' }, 'Keep'),
      element('button', { class: 'button danger', value: 'yes' }, action),
    ],
  );
  return answer === 'yes';
}
