// Pictures onto the person's disk: one, or all of a job in a ZIP.

import { downloadZip } from '/image-generator/npm/client-zip.js';
import { bucket, ok } from '../project/client.js';
import { element } from './element.js';

/** The name of a picture's file. */
export function fileName({ variant, slide, aspect_ratio: ratio, storage_path: path }) {
  return `variant-${variant}_${ratio.replace(':', 'x')}_slide-${slide}.${path.split('.').pop()}`;
}

export async function downloadOne(image) {
  save(await ok(bucket.download(image.storage_path)), fileName(image));
}

/** Downloads one after the other; `progress` gets how many have come. */
export async function downloadAll(images, name, progress) {
  async function* files() {
    let come = 0;
    for (const image of images) {
      const input = await ok(bucket.download(image.storage_path));
      progress((come += 1));
      yield { name: fileName(image), input, lastModified: new Date(image.completed_at) };
    }
  }
  save(await downloadZip(files()).blob(), name);
}

function save(blob, download) {
  const href = URL.createObjectURL(blob);
  const link = element('a', { href, download, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  // The browser has taken it over by then.
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
