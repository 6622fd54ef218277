// How many images a job makes, and about what they cost.

import { config } from '../project/client.js';
import { count, slideCount } from '../show/words.js';

/** Pixels of each ratio, with quality `xhigh` or `max` in the second place: the sizes of the README. */
const PIXELS = {
  '1:1': [1024 * 1024, 1440 * 1440],
  '4:5': [1024 * 1280, 1280 * 1600],
  '9:16': [864 * 1536, 1152 * 2048],
  '3:4': [960 * 1280, 1248 * 1664],
  '16:9': [1536 * 864, 2048 * 1152],
  '3:2': [1536 * 1024, 1728 * 1152],
  '2:3': [1024 * 1536, 1152 * 1728],
  // As the photos are; about so many, for most of them.
  auto: [1.265e6, 1.96e6],
};

/** Dollars for 1024 x 1024 pixels: an order of magnitude, as no public formula gives tokens from sizes. */
const SQUARE = { low: 0.006, medium: 0.053, high: 0.211, xhigh: 0.32, max: 0.42, auto: 0.211 };

/** Dollars for a photo that is sent along, and for a preview. */
const [PHOTO, PREVIEW] = [0.007, 0.003];

export const imageCount = (job, photos) => job.variants * slideCount(job, photos) * job.aspect_ratios.length;

export function factors(job, photos) {
  const parts = [
    count(job.variants, 'variant'),
    count(slideCount(job, photos), 'slide'),
    count(job.aspect_ratios.length, 'shape'),
  ];
  return parts.join(' × ');
}

/** Dollars for the whole job; `null` when the model's price is not known. */
export function estimate(job, photos) {
  if (!config.model.startsWith('gpt-image-2')) return null;
  const quality = job.quality ?? config.quality;
  const size = ['xhigh', 'max'].includes(quality) ? 1 : 0;
  const slides = slideCount(job, photos);
  // Photos that go along with all slides of a carousel together.
  const sent = job.slides_from === 'sources' ? photos : (job.slide_sources?.flat().length ?? photos * slides);
  const one = (ratio) =>
    slides * ((SQUARE[quality] * PIXELS[ratio][size]) / PIXELS['1:1'][0] + job.partial_previews * PREVIEW) + sent * PHOTO;
  return job.variants * job.aspect_ratios.reduce((sum, ratio) => sum + one(ratio), 0);
}
