// The rows of one query, right in whatever order reads and changes come in.

/**
 * Holds rows by their id. Two sources fill it: reads, and changes that Realtime brings. An update that came while a read was under way may be newer
 * than what the read has seen, so it is laid over the read's answer. It may also have been on its way for long, and be older than the row that is
 * here: then it is nothing. A row is inserted once: who has read it knows at least what its insert says.
 */
export class Rows {
  #rows = new Map();
  #read;
  #show;
  #isOlder;
  /** While a read runs: what changes have said since it began, as `{ first, last }`; `null` for a row that went. */
  #said = null;
  #running = null;
  #again = false;
  /** Whether the rows have been read at all. */
  isRead = false;

  /**
   * `read` gives all rows of the query; `show` gets them, in no order, whenever they may be others; `isOlder` says of an update's columns and of a
   * row whether the row is surely the later one.
   */
  constructor(read, show, isOlder = () => false) {
    this.#read = read;
    this.#show = show;
    this.#isOlder = isOlder;
  }

  get all() {
    return [...this.#rows.values()];
  }

  get(id) {
    return this.#rows.get(id);
  }

  /** Takes a change. An update can lack what did not change, and a delete has the primary key only. */
  change({ eventType, new: row, old }) {
    if (eventType === 'DELETE') {
      this.#said?.set(old.id, null);
      if (!this.#rows.delete(old.id)) return;
    } else {
      // Without rights to the row any more there is nothing in it.
      if (!row.id) return;
      // Unless it went meanwhile: then the read may have seen the one that went.
      const isFirst = eventType === 'INSERT' && this.#said?.get(row.id) !== null;
      const said = isFirst ? { first: row } : { last: row };
      this.#said?.set(row.id, both(this.#said.get(row.id), said));
      this.#rows.set(row.id, this.#laid(this.#rows.get(row.id), said));
    }
    this.#show(this.all);
  }

  /** Takes what this page itself has just written: columns of a row that is here. */
  wrote(id, columns) {
    if (this.#rows.has(id)) this.change({ eventType: 'UPDATE', new: { id, ...columns } });
  }

  /** Reads all rows. One read runs at a time; who asks meanwhile gets one that begins after it. */
  read() {
    if (this.#running) this.#again = true;
    this.#running ??= this.#readUntilQuiet().finally(() => (this.#running = null));
    return this.#running;
  }

  async #readUntilQuiet() {
    do {
      this.#again = false;
      this.#said = new Map();
      try {
        const rows = new Map((await this.#read()).map((row) => [row.id, row]));
        for (const [id, said] of this.#said) {
          if (said) rows.set(id, this.#laid(rows.get(id), said));
          else rows.delete(id);
        }
        this.#rows = rows;
        this.isRead = true;
      } finally {
        this.#said = null;
      }
      this.#show(this.all);
    } while (this.#again);
  }

  /** A row under what its updates say, and over what its insert does. */
  #laid(row, { first, last }) {
    return { ...first, ...row, ...(row && last && this.#isOlder(last, row) ? {} : last) };
  }
}

/** Whether an update of a row with `updated_at` is older than the row. In UTC and of one form, times stand in their order as texts. */
export const isOlder = (change, row) => change.updated_at < row.updated_at;

const both = (before, { first, last }) => ({ first: first ?? before?.first, last: { ...before?.last, ...last } });
