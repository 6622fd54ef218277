// One picture, large, and the way to its neighbours.

import { signed } from '../project/signed.js';
import { element, iconButton } from './element.js';
import { shapeOf } from './words.js';

/** Opens at `index` of `images`, which are rows of finished ones. */
export async function openLightbox(images, index) {
  const large = element('img', { alt: '' });
  const caption = element('p', { class: 'lightbox-caption', 'aria-live': 'polite' });
  const close = () => dialog.close();
  const dialog = element(
    'dialog',
    {
      class: 'lightbox',
      'aria-label': 'Picture',
      keydown: ({ key }) => {
        if (key === 'ArrowLeft') step(-1);
        if (key === 'ArrowRight') step(1);
      },
      click: ({ target }) => {
        if (target === dialog) close();
      },
      close: () => dialog.remove(),
    },
    large,
    element(
      'div',
      { class: 'lightbox-bar' },
      iconButton('left', 'Previous picture', () => step(-1), { disabled: images.length < 2 }),
      caption,
      iconButton('right', 'Next picture', () => step(1), { disabled: images.length < 2 }),
      iconButton('close', 'Close', close),
    ),
  );
  let at = index;
  const step = async (by) => {
    at = (at + by + images.length) % images.length;
    const { variant, slide, aspect_ratio: ratio, width, height, storage_path: path } = images[at];
    caption.textContent = `Variant ${variant}, slide ${slide}, ${shapeOf(ratio)} · ${width} × ${height}`;
    large.alt = caption.textContent;
    const asked = at;
    const address = await signed(path);
    if (asked === at) large.src = address;
  };
  document.body.append(dialog);
  dialog.showModal();
  await step(0);
}
