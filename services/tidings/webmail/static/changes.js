/** What is new in a list of mails. Nothing here acts. */

/** @typedef {import("./api.js").Listed} Listed */

/** Compares each list of one page of the inbox with the one before it. */
export class Changes {
  /** @type {Map<string, number> | null} when each mail of the last list was touched; null: nothing of the next is news */
  #known = null;
  #latest = 0;

  /** Another page comes, or nobody has looked meanwhile. */
  restart() {
    this.#known = null;
  }

  /**
   * @param {Listed[]} messages
   * @returns {{changed: Listed[], added: Listed[], fewer: boolean}} which mails were delivered or flagged, those of
   *   them that were not there before, and whether mails are gone
   */
  next(messages) {
    const [known, latest] = [this.#known, this.#latest];
    this.#known = new Map(messages.map(({ id, touched }) => [id, touched]));
    this.#latest = messages.reduce((sum, { touched }) => Math.max(sum, touched), latest);
    if (known === null) return { changed: [], added: [], fewer: false };
    // What comes onto this page because another mail has left it is older.
    const changed = messages.filter(({ id, touched }) => touched >= latest && touched !== known.get(id));
    return { changed, added: changed.filter(({ id }) => !known.has(id)), fewer: messages.length < known.size };
  }
}
