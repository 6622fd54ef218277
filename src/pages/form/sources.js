// The photos: chosen, dropped or pasted, each uploaded at once while it is told how far it is.

import { refusal } from '../project/refusal.js';
import { signed } from '../project/signed.js';
import { ACCEPTED, discard, fault, upload } from '../project/upload.js';
import { announce } from '../show/announce.js';
import { byId, element, iconButton } from '../show/element.js';
import { bytes } from '../show/words.js';

const MOST = 100;
/** What makes a file's name in the bucket unique, and says nothing to a person. */
const UNIQUE = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-?/;

export class Sources {
  /** In the order of the page: `{ path, done, item, ... }`; `done` gives the path, or nothing when it failed. */
  #photos = [];
  /** Whether the photos are a template's, all of them and no other. */
  areFilled = false;
  #changed;

  constructor(changed) {
    this.#changed = changed;
    const chooser = byId('files');
    chooser.accept = ACCEPTED;
    chooser.addEventListener('change', () => {
      this.#add(chooser.files);
      // So that the same file can be chosen again.
      chooser.value = '';
    });
    this.#takeDropped();
    // Words that are pasted with a picture of them are meant as words.
    document.addEventListener(
      'paste',
      ({ clipboardData: { types, files } }) => types.includes('text/plain') || this.#add(files),
    );
  }

  get length() {
    return this.#photos.length;
  }

  /** What tells one photo from another, with its name, in the order of the page. */
  get photos() {
    return this.#photos.map(({ item, name }) => ({ key: item, name }));
  }

  /** The paths, once all are there; nothing when one could not be uploaded. */
  async paths() {
    const paths = await Promise.all(this.#photos.map(({ done }) => done));
    return paths.every(Boolean) ? paths : null;
  }

  /** Takes over photos that are in the bucket already, and belong to a template. */
  fill(paths) {
    for (const [index, path] of paths.entries()) {
      const name = path.split('/').pop().replace(UNIQUE, '');
      const photo = this.#show(name.startsWith('.') ? `Photo ${index + 1}` : name);
      photo.done = Promise.resolve(path);
      photo.status.textContent = 'From the template';
      signed(path).then(
        (url) => (photo.image.src = url),
        () => (photo.status.textContent = 'This photo is not there any more'),
      );
    }
    this.areFilled = true;
  }

  #takeDropped() {
    const area = byId('drop');
    const isOver = (over) => area.classList.toggle('is-over', over);
    const areFiles = ({ dataTransfer }) => dataTransfer.types.includes('Files');
    document.addEventListener('dragover', (event) => {
      if (!areFiles(event)) return;
      event.preventDefault();
      isOver(true);
    });
    document.addEventListener('dragleave', ({ relatedTarget }) => !relatedTarget && isOver(false));
    document.addEventListener('drop', (event) => {
      if (!areFiles(event)) return;
      event.preventDefault();
      isOver(false);
      this.#add(event.dataTransfer.files);
    });
  }

  #add(files) {
    for (const file of files) {
      const reason = this.length >= MOST ? `A job takes at most ${MOST} photos.` : fault(file);
      if (reason) announce(`${file.name}: ${reason}`);
      else this.#upload(file);
    }
  }

  #upload(file) {
    const photo = this.#show(file.name);
    const address = URL.createObjectURL(file);
    photo.image.src = address;
    photo.image.addEventListener('load', () => URL.revokeObjectURL(address), { once: true });
    const bar = element('progress', { max: 1, value: 0, 'aria-label': `Upload of ${file.name}` });
    const begin = () => {
      photo.item.classList.remove('is-refused');
      photo.status.replaceChildren(bar);
      photo.stop = new AbortController();
      photo.done = this.#send(photo, file, bar);
    };
    photo.again = begin;
    begin();
  }

  async #send(photo, file, bar) {
    try {
      const path = await upload(file, { progress: (share) => (bar.value = share), signal: photo.stop.signal });
      photo.ours = path;
      photo.status.textContent = bytes(file.size);
      photo.item.dataset.uploaded = 'yes';
      return path;
    } catch (error) {
      if (error.name === 'AbortError') return null;
      photo.item.classList.add('is-refused');
      const again = element('button', { type: 'button', class: 'button small', click: photo.again }, 'Try again');
      photo.status.replaceChildren(refusal(error).text, again);
      return null;
    }
  }

  #show(name) {
    this.areFilled = false;
    const photo = {
      name,
      image: element('img', { alt: '' }),
      status: element('div', { class: 'photo-status', 'aria-live': 'polite' }),
    };
    const remove = iconButton('close', `Remove ${name}`, () => this.#remove(photo));
    photo.item = element(
      'li',
      { class: 'photo' },
      element('div', { class: 'photo-frame' }, photo.image, remove),
      element('div', { class: 'photo-name', title: name }, name),
      photo.status,
    );
    this.#photos.push(photo);
    byId('photos').append(photo.item);
    this.#changed();
    return photo;
  }

  #remove(photo) {
    this.areFilled = false;
    photo.stop?.abort();
    this.#photos.splice(this.#photos.indexOf(photo), 1);
    photo.item.remove();
    // What this page has uploaded for nothing goes; a template's photo stays.
    if (photo.ours) discard(photo.ours).catch(() => {});
    byId('files').focus();
    this.#changed();
  }
}
