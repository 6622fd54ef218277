// The slides' own texts: added, removed, and moved.

import { murmur } from '../show/announce.js';
import { byId, element, iconButton } from '../show/element.js';

export class Slides {
  #list = byId('slides');
  #changed;

  constructor(changed) {
    this.#changed = changed;
    byId('add-slide').addEventListener('click', () => this.#add().querySelector('textarea').focus());
    this.#number();
  }

  /** One text a slide. */
  read() {
    return [...this.#list.querySelectorAll('textarea')].map(({ value }) => value);
  }

  fill(texts) {
    this.#list.replaceChildren();
    for (const text of texts) this.#add(text);
  }

  #add(text = '') {
    const words = element('textarea', { rows: 2, maxlength: 32000, placeholder: 'What this slide shows' });
    words.value = text;
    const slide = element(
      'li',
      { class: 'slide-item' },
      words,
      element(
        'div',
        { class: 'slide-buttons' },
        iconButton('up', '', (event) => this.#move(slide, -1, event.currentTarget)),
        iconButton('down', '', (event) => this.#move(slide, 1, event.currentTarget)),
        iconButton('close', '', () => this.#remove(slide)),
      ),
    );
    this.#list.append(slide);
    this.#number();
    this.#changed();
    return slide;
  }

  #move(slide, by, button) {
    const other = by < 0 ? slide.previousElementSibling : slide.nextElementSibling;
    if (!other) return;
    if (by < 0) other.before(slide);
    else other.after(slide);
    this.#number();
    this.#changed();
    // At an end the button can't be pressed again, and would lose the focus.
    (button.disabled ? slide.querySelector('textarea') : button).focus();
    murmur(`Moved to place ${[...this.#list.children].indexOf(slide) + 1}`);
  }

  #remove(slide) {
    const next = slide.nextElementSibling ?? slide.previousElementSibling;
    slide.remove();
    this.#number();
    this.#changed();
    (next?.querySelector('textarea') ?? byId('add-slide')).focus();
  }

  /** Each slide says which one it is, and what its buttons do. */
  #number() {
    const slides = [...this.#list.children];
    byId('slides-help').hidden = slides.length > 0;
    for (const [index, slide] of slides.entries()) {
      const name = `slide ${index + 1}`;
      slide.querySelector('textarea').setAttribute('aria-label', `Text of ${name}`);
      const [up, down, remove] = slide.querySelectorAll('button');
      for (const [button, does] of [
        [up, `Move ${name} up`],
        [down, `Move ${name} down`],
        [remove, `Remove ${name}`],
      ]) {
        button.setAttribute('aria-label', does);
        button.title = does;
      }
      up.disabled = index === 0;
      down.disabled = index === slides.length - 1;
    }
  }
}
