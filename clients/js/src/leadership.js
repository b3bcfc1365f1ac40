/** Which of several pages leads: the one that holds the lock. */

/**
 * Queues for the lock, again and again: it comes when the page that holds it is closed, crashes, or leaves. One that is
 * frozen keeps it, until it is stolen.
 */
export class Leadership {
  #name;
  #began;
  #ended;
  #leaving = new AbortController();
  /** @type {(() => void) | null} */
  #release = null;

  /**
   * @param {string} name of the lock
   * @param {() => void} began this page leads
   * @param {() => void} ended it does not any more: another one has stolen the lock
   */
  constructor(name, began, ended) {
    this.#name = name;
    this.#began = began;
    this.#ended = ended;
    this.#queue();
  }

  async #queue() {
    while (!this.#leaving.signal.aborted) await this.#hold({ signal: this.#leaving.signal });
  }

  /** Takes the lock from a page that holds it and does nothing. */
  steal() {
    this.#hold({ steal: true });
  }

  /** Lets another page lead, if this one does, and queues again. */
  release() {
    this.#release?.();
  }

  /** Lets another page lead, for good. */
  leave() {
    this.#leaving.abort();
    this.release();
  }

  /** @param {LockOptions} options */
  async #hold(options) {
    let held = false;
    try {
      await navigator.locks.request(this.#name, options, () => {
        if (this.#leaving.signal.aborted) return undefined;
        held = true;
        return new Promise((resolve) => {
          this.#release = () => resolve(undefined);
          this.#began();
        });
      });
    } catch (error) {
      if (error instanceof DOMException && error.name !== "AbortError") {
        // There are no locks for this page, as in a sandboxed frame: it leads nobody but itself.
        this.#leaving.abort();
        this.#began();
      } else if (!(error instanceof DOMException)) throw error;
    }
    if (!held || this.#leaving.signal.aborted) return;
    this.#release = null;
    this.#ended();
  }
}
