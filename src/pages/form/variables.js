// Values for the {{names}} that stand in prompt and slides.

import { byId, element } from '../show/element.js';

/** A name as the database reads it. */
const VARIABLE = /\{\{ *([a-z][a-z0-9_]*) *\}\}/g;

/** The names in these texts, each once, in the order in which they come. */
export function namesIn(...texts) {
  return [...new Set(texts.flatMap((text) => [...text.matchAll(VARIABLE)].map(([, name]) => name)))];
}

export class Variables {
  /** What was given so far, also for names that have gone from the texts: they may come back. */
  #values = {};

  /** Shows a field for each name, keeping those that are there. */
  ask(names) {
    byId('part-variables').hidden = names.length === 0;
    const shown = [...byId('variables').children].map((row) => row.dataset.name);
    if (`${shown}` === `${names}`) return;
    byId('variables').replaceChildren(...names.map((name) => this.#row(name)));
  }

  /** Takes over a template's values; the fields are made anew. */
  fill(values) {
    this.#values = { ...values };
    byId('variables').replaceChildren();
  }

  /** Values of the names that are asked for. */
  read() {
    const names = [...byId('variables').children].map((row) => row.dataset.name);
    return Object.fromEntries(names.filter((name) => this.#values[name]).map((name) => [name, this.#values[name]]));
  }

  /** The first name without a value; nothing when each has one. */
  missing() {
    return [...byId('variables').children].map((row) => row.dataset.name).find((name) => !this.#values[name]);
  }

  #row(name) {
    const id = `variable-${name}`;
    const input = element('input', {
      id,
      type: 'text',
      value: this.#values[name] ?? '',
      input: () => (this.#values[name] = input.value),
    });
    return element(
      'div',
      { class: 'pair', 'data-name': name },
      element('label', { for: id }, name.replaceAll('_', ' ')),
      input,
    );
  }
}
