// A generated image as it comes into being: an empty frame, its blurred placeholder, previews, the picture.

import { thumbHashToDataURL } from '/image-generator/npm/thumbhash.js';
import { signed } from '../project/signed.js';
import { element } from './element.js';

/** Milliseconds until a picture that could not be loaded is tried again. */
const AGAIN = 5000;

/** A data address of the placeholder, which is base64 in the row; nothing when it is damaged. */
export function placeholder(thumbhash) {
  try {
    return thumbHashToDataURL(Uint8Array.from(atob(thumbhash), (letter) => letter.charCodeAt(0)));
  } catch {
    return null;
  }
}

/** A frame of an aspect ratio such as `4:5`; one of `auto` has its shape from what comes. Its `show` takes a row's paths, and changes the screen only when they are others. */
export function picture(ratio, alt) {
  const blur = element('img', { class: 'blur', alt: '', hidden: true });
  const sharp = element('img', { class: 'sharp', alt, hidden: true, decoding: 'async' });
  const frame = element('div', { class: 'picture' }, blur, sharp);
  const shape = (across, down) => frame.style.setProperty('aspect-ratio', `${across} / ${down}`);
  const isAuto = ratio === 'auto';
  shape(...(isAuto ? [1, 1] : ratio.split(':')));
  let [hash, shown] = [null, null];

  const show = async (row) => {
    const { thumbhash, storage_path: path, preview_path: preview } = row;
    if (isAuto && row.width && row.height) shape(row.width, row.height);
    if (thumbhash && thumbhash !== hash) {
      hash = thumbhash;
      const address = placeholder(thumbhash);
      blur.hidden = !address;
      if (address) blur.src = address;
    }
    const wanted = path ?? preview;
    if (wanted === shown) return;
    shown = wanted;
    frame.classList.toggle('is-preview', !path && Boolean(preview));
    if (!wanted) {
      sharp.hidden = true;
      return;
    }
    try {
      const loaded = await load(await signed(wanted));
      // A later row may have won meanwhile.
      if (shown !== wanted) return;
      if (isAuto) shape(loaded.naturalWidth, loaded.naturalHeight);
      sharp.src = loaded.src;
      sharp.hidden = false;
      frame.dataset.shown = path ? 'picture' : 'preview';
    } catch {
      if (shown !== wanted) return;
      shown = null;
      // A preview goes when the next one comes; the picture is there to stay.
      if (path) setTimeout(() => shown === null && show(row), AGAIN);
    }
  };
  return Object.assign(frame, { show });
}

/** Loads before showing, so that what stands there stays until then. */
async function load(src) {
  const image = new Image();
  image.src = src;
  await image.decode();
  return image;
}
