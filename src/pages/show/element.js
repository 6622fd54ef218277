// Elements made by code. Text becomes text and never markup.

/**
 * An element. `attributes` sets `class` and other attributes; `true` sets an empty one, `false` and `null` none; a function under a name such as
 * `click` listens to that event. Children are elements and texts.
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, '');
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

/** The element of the page with this id. */
export const byId = (id) => document.getElementById(id);

const DRAWN = 'http://www.w3.org/2000/svg';

/** The strokes of the icons, on a field of 24. */
const ICONS = {
  add: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6L6 18',
  up: 'M12 19V5M6 11l6-6 6 6',
  down: 'M12 5v14M6 13l6 6 6-6',
  left: 'M15 5l-7 7 7 7',
  right: 'M9 5l7 7-7 7',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  heart: 'M12 20s-7.5-4.6-7.5-10A4.2 4.2 0 0 1 12 7.3 4.2 4.2 0 0 1 19.5 10c0 5.4-7.5 10-7.5 10z',
  photo: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01',
  edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  trash: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5M14 11v5',
  alert: 'M12 4l9 16H3zM12 10v4M12 17h.01',
  stack: 'M8 4h12v12H8zM4 8v12h12',
};

/** A drawn icon, which screen readers pass over. */
export function icon(name) {
  const svg = document.createElementNS(DRAWN, 'svg');
  const path = document.createElementNS(DRAWN, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('class', 'icon');
  svg.append(path);
  return svg;
}

/** A button that shows an icon and says `label`. */
export function iconButton(name, label, click, attributes = {}) {
  return element(
    'button',
    { type: 'button', class: 'icon-button', 'aria-label': label, title: label, click, ...attributes },
    icon(name),
  );
}
