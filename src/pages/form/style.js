// Style options: names and values, each of which becomes a line of the prompt.

import { byId, element, iconButton } from '../show/element.js';
import { worded } from '../show/words.js';

/** What is offered at first; left empty, it says nothing. */
const OFFERED = { mood: 'warm, calm', colors: 'amber, teal', lighting: 'soft morning light' };

export class Style {
  #changed;

  constructor(changed) {
    this.#changed = changed;
    for (const [name, example] of Object.entries(OFFERED)) this.#add(name, '', example);
    byId('add-style').addEventListener('click', () => this.#add(null, '').querySelector('input').focus());
  }

  /** The options that have both a name and a value. A value that nobody touched is as the template has it. */
  read() {
    const pairs = [...byId('style').children].map((row) => {
      const value = row.querySelector('.pair-value').value.trim();
      const name = row.name ?? row.querySelector('.pair-name').value.trim().replaceAll(/\s+/g, '_');
      return [name, row.shown === value ? row.value : value];
    });
    return Object.fromEntries(pairs.filter(([name, value]) => name && value !== ''));
  }

  fill(style) {
    byId('style').replaceChildren();
    for (const [name, example] of Object.entries(OFFERED)) this.#add(name, style[name] ?? '', example);
    for (const [name, value] of Object.entries(style)) if (!(name in OFFERED)) this.#add(name, value);
  }

  /** A row with this name, or with a field for one. */
  #add(name, value, example = '') {
    const shown = worded(value);
    const id = `style-${crypto.randomUUID()}`;
    const remove = () => {
      row.remove();
      byId('add-style').focus();
      this.#changed();
    };
    const row = element(
      'div',
      { class: 'pair' },
      name
        ? element('label', { for: id }, name.replaceAll('_', ' '))
        : element('input', {
            class: 'pair-name',
            type: 'text',
            'aria-label': 'Name of the option',
            placeholder: 'Name',
          }),
      element('input', {
        id,
        class: 'pair-value',
        type: 'text',
        'aria-label': name ? null : 'Value of the option',
        placeholder: example,
        value: shown,
      }),
      iconButton('close', name ? `Remove ${name}` : 'Remove the option', remove),
    );
    Object.assign(row, { name, shown, value });
    byId('style').append(row);
    return row;
  }
}
