// The slides' own texts: added, removed, and moved.

import { murmur } from '../show/announce.js';
import { byId, element, iconButton } from '../show/element.js';

export class Slides {
  #list = byId('slides');
  #changed;
  /** The photos whose slides these are, or nothing where the person says what slides there are. */
  #photos = null;
  /** The slides that the person has added, while those of the photos are shown. */
  #own = [];
  /** The slide of each photo, also of one that is not followed now. */
  #ofPhotos = new Map();

  constructor(changed) {
    this.#changed = changed;
    byId('add-slide').addEventListener('click', () => this.#add().querySelector('textarea').focus());
    this.#number();
  }

  /** One text a slide; none at all where the photos' slides have no words. */
  read() {
    const texts = [...this.#list.querySelectorAll('textarea')].map(({ value }) => value);
    return this.#photos && texts.every((text) => !text.trim()) ? [] : texts;
  }

  fill(texts) {
    if (this.#photos) {
      for (const [index, area] of this.#list.querySelectorAll('textarea').entries()) area.value = texts[index] ?? '';
      return;
    }
    this.#list.replaceChildren();
    for (const text of texts) this.#add(text);
  }

  /** Shows a slide for each of these photos, `{ key, name }`, or with nothing the slides that the person has added. */
  follow(photos) {
    if (!photos && !this.#photos) return;
    if (photos && !this.#photos) this.#own = [...this.#list.children];
    this.#photos = photos;
    byId('add-slide').hidden = Boolean(photos);
    const slides = photos ? photos.map((photo) => this.#ofPhoto(photo)) : this.#own;
    const shown = [...this.#list.children];
    if (slides.length === shown.length && slides.every((slide, index) => slide === shown[index])) return;
    // What stays is not touched: somebody may be writing there.
    for (const slide of shown) if (!slides.includes(slide)) slide.remove();
    this.#list.append(...slides.filter((slide) => !shown.includes(slide)));
    this.#number();
  }

  #ofPhoto({ key, name }) {
    if (!this.#ofPhotos.has(key)) {
      const words = element('textarea', { rows: 2, maxlength: 32000, placeholder: `What becomes of ${name}` });
      this.#ofPhotos.set(key, element('li', { class: 'slide-item' }, words));
    }
    return this.#ofPhotos.get(key);
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
    for (const [index, slide] of slides.entries()) {
      const name = `slide ${index + 1}`;
      slide.querySelector('textarea').setAttribute('aria-label', `Text of ${name}`);
      const [up, down, remove] = slide.querySelectorAll('button');
      if (!up) continue;
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
