// The plain fields of the form: prompt, shapes, variants, and what stands under "More options".

import { config } from '../project/client.js';
import { byId, element } from '../show/element.js';

const RATIOS = {
  '1:1': 'Square',
  '4:5': 'Portrait',
  '9:16': 'Story',
  '3:4': 'Classic',
  '16:9': 'Wide',
  '3:2': 'Landscape',
  '2:3': 'Tall',
  auto: 'As the photo',
};
const QUALITIES = { low: 'Low', medium: 'Medium', high: 'High', xhigh: 'Very high', max: 'Best' };
/** Models that know the two best qualities. */
const FINEST = /^gpt-image-(2\.[5-9]|[3-9])/;

export class Fields {
  constructor(changed) {
    byId('ratios').append(...Object.entries(RATIOS).map(([ratio, name]) => shape(ratio, name)));
    const offered = Object.entries(QUALITIES).slice(0, FINEST.test(config.model) ? 5 : 3);
    byId('quality').append(
      element('option', { value: '' }, `As set up (${QUALITIES[config.quality]?.toLowerCase() ?? config.quality})`),
      ...offered.map(([value, name]) => element('option', { value }, name)),
    );
    const step = (by) => () => {
      const { value, min, max } = byId('variants');
      byId('variants').value = Math.min(max, Math.max(min, Number(value) + by));
      changed();
    };
    byId('fewer').addEventListener('click', step(-1));
    byId('more').addEventListener('click', step(1));
  }

  /** The columns of these fields. */
  read() {
    const given = (id) => byId(id).value.trim() || null;
    return {
      prompt: byId('prompt').value,
      aspect_ratios: [...document.querySelectorAll('#ratios input:checked')].map(({ value }) => value),
      variants: Number(byId('variants').value),
      title: given('title'),
      quality: given('quality'),
      output_format: given('format'),
      partial_previews: Number(byId('previews').value),
    };
  }

  /** Takes over what a template has of them. */
  fill({ prompt, aspect_ratios: ratios, variants }) {
    byId('prompt').value = prompt ?? '';
    byId('variants').value = variants;
    for (const box of document.querySelectorAll('#ratios input')) box.checked = ratios.includes(box.value);
  }
}

function shape(ratio, name) {
  const drawn = element('span', { class: 'shape-drawn', 'aria-hidden': 'true' });
  const [across, down] = ratio === 'auto' ? [1, 1] : ratio.split(':').map(Number);
  drawn.style.setProperty('aspect-ratio', `${across} / ${down}`);
  drawn.classList.toggle('is-wide', across > down);
  drawn.classList.toggle('is-any', ratio === 'auto');
  return element(
    'label',
    { class: 'shape' },
    element('input', { type: 'checkbox', class: 'unseen', value: ratio, checked: ratio === '1:1' }),
    element('span', { class: 'shape-box' }, drawn),
    element('span', { class: 'shape-name' }, name),
    element('span', { class: 'quiet' }, ratio === 'auto' ? 'its own shape' : ratio),
  );
}
