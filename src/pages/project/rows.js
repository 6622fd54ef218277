// The rows of one query, right in whatever order reads and changes come in.

/**
 * Holds rows by their id. Two sources fill it: reads, which bring rows whole, and changes, which may be partial: an update lacks long texts that stayed
 * the same, one that is too large also nulls and all other long values, and a broadcast has no long texts at all. So a change is laid over the row
 * that is here, and a row that is not here is read.
 *
 * An update that came while a read was under way may be newer than what the read has seen, so it is laid over the read's answer. It may also have been on
 * its way for long, and be older than the row that is here: then it is nothing.
 */
export class Rows {
  #rows = new Map();
  #read;
  #show;
  /** While a read runs: the columns that changes have said since it began; `null` for a row that went. */
  #said = null;
  #running = null;
  #again = false;
  /** Whether the rows have been read at all. */
  isRead = false;

  /** `read` gives all rows of the query; `show` gets them, in no order, whenever they may be others. */
  constructor(read, show) {
    this.#read = read;
    this.#show = show;
  }

  get all() {
    return [...this.#rows.values()];
  }

  get(id) {
    return this.#rows.get(id);
  }

  /** Takes changes that come together, in the form of supabase-js. A delete has the primary key only. */
  change(...changes) {
    let [isOther, isLacking] = [false, false];
    for (const { eventType, new: row, old, errors } of changes) {
      if (eventType === 'DELETE') {
        this.#said?.set(old.id, null);
        isOther = this.#rows.delete(old.id) || isOther;
        continue;
      }
      // Without rights to the row any more there is nothing in it.
      if (!row.id) continue;
      const known = this.#rows.get(row.id);
      const said = this.#said?.get(row.id);
      if (!said || !isOlder(row, said)) this.#said?.set(row.id, { ...said, ...row });
      if (errors || (!known && !this.#said)) isLacking = true;
      if (!known || isOlder(row, known)) continue;
      this.#rows.set(row.id, { ...known, ...row });
      isOther = true;
    }
    if (isOther) this.#show(this.all);
    // Who follows the rows learns of a read that fails by reading again.
    if (isLacking) this.read().catch(() => {});
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
          const row = rows.get(id);
          if (!said) rows.delete(id);
          // It was told of and is not among the rows: it came since, or went, or is none of them any more.
          else if (!row) this.#again = true;
          else if (!isOlder(said, row)) rows.set(id, { ...row, ...said });
        }
        this.#rows = rows;
        this.isRead = true;
      } finally {
        this.#said = null;
      }
      this.#show(this.all);
    } while (this.#again);
  }
}

/** Whether a change is older than the row. In UTC and of one form, times stand in their order as texts. */
const isOlder = (change, row) => change.updated_at < row.updated_at;
