// The grid of a job's page: a section for each variant and ratio, a card for each slide.

import { ok, supabase } from '../project/client.js';
import { downloadOne } from './download.js';
import { byId, element, iconButton } from './element.js';
import { act } from './frame.js';
import { openLightbox } from './lightbox.js';
import { picture } from './picture.js';
import { STATUS, shapeOf, slideCount } from './words.js';

const nameOf = ({ variant, slide, aspect_ratio: ratio }) => `${variant}-${ratio}-${slide}`;

export class Carousels {
  #cards = new Map();
  #wrote;
  #images = [];

  /** `wrote` gets an image's id and the columns that were written to it. */
  constructor(wrote) {
    this.#wrote = wrote;
  }

  /** Shows these rows. The cards are there before the rows are: what will be made follows from the job. */
  show(job, images) {
    this.#images = images;
    if (this.#cards.size === 0) this.#build(job);
    for (const image of images) this.#cards.get(nameOf(image))?.update(image);
  }

  /** Images in the order of the page. */
  inOrder(images) {
    const names = [...this.#cards.keys()];
    return images.toSorted((one, other) => names.indexOf(nameOf(one)) - names.indexOf(nameOf(other)));
  }

  #build(job) {
    const { variants, aspect_ratios: ratios, slide_prompts: prompts } = job;
    const slides = slideCount(job);
    for (let variant = 1; variant <= variants; variant += 1) {
      for (const ratio of ratios) {
        const heading = [variants > 1 && `Variant ${variant}`, shapeOf(ratio)].filter(Boolean).join(' · ');
        const list = element('ol', { class: 'slides', 'data-ratio': ratio });
        for (let slide = 1; slide <= slides; slide += 1) {
          const card = this.#card({ variant, aspect_ratio: ratio, slide }, prompts[slide - 1]);
          this.#cards.set(nameOf({ variant, aspect_ratio: ratio, slide }), card);
          list.append(card.item);
        }
        const id = `carousel-${variant}-${ratio}`;
        byId('carousels').append(
          element('section', { class: 'carousel', 'aria-labelledby': id }, element('h2', { id }, heading), list),
        );
      }
    }
  }

  #card(place, words) {
    let row = place;
    const name = `Slide ${place.slide}`;
    const frame = picture(place.aspect_ratio, [name, words].filter(Boolean).join(': '));
    const enlarge = element(
      'button',
      { type: 'button', class: 'enlarge', 'aria-label': `Enlarge ${name}`, click: () => this.#enlarge(row) },
      frame,
    );
    const heart = iconButton('heart', `Favourite ${name}`, () => this.#favour(heart, row));
    const download = iconButton('download', `Download ${name}`, () => act(download, () => downloadOne(row)));
    const state = element('span', { class: 'slide-state quiet' });
    const item = element(
      'li',
      { class: 'slide' },
      enlarge,
      element(
        'div',
        { class: 'slide-foot' },
        element('span', {}, name),
        state,
        element('span', { class: 'slide-buttons' }, heart, download),
      ),
    );
    const update = (image) => {
      row = image;
      const isReady = image.status === 'completed';
      item.dataset.status = image.status;
      state.textContent = isReady ? '' : STATUS[image.status];
      state.title = image.error_message ?? '';
      enlarge.disabled = !isReady;
      heart.hidden = download.hidden = !isReady;
      heart.setAttribute('aria-pressed', String(image.is_favorite));
      frame.show(image);
    };
    update({ ...place, status: 'pending', is_favorite: false });
    return { item, update };
  }

  #enlarge(row) {
    const ready = this.inOrder(this.#images.filter(({ status }) => status === 'completed'));
    openLightbox(
      ready,
      ready.findIndex(({ id }) => id === row.id),
    );
  }

  #favour(heart, { id, is_favorite: was }) {
    return act(heart, async () => {
      await ok(
        supabase.from('generated_carousel_images').update({ is_favorite: !was }).eq('id', id).select('id').single(),
      );
      this.#wrote(id, { is_favorite: !was });
    });
  }
}
