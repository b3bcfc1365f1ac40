/** When a page that is told of changes asks its server what they are. Nothing here knows Roundcube. */

/** After a refresh, or what the user did, changes come in company: the next refresh waits until there was none for so long, */
const QUIET_MS = 1_000;
/** but no longer than this. */
const LONGEST_MS = 5_000;
/** A refresh that failed is tried again after so long. */
const AGAIN_MS = 30_000;

export class Refresher {
  /** @type {(done: (answered: boolean) => void) => void} */
  #refresh;
  #running = false;
  /** Whether what is sent now is a refresh. */
  #sending = false;
  /** Other requests that are on their way. @type {Set<object>} */
  #others = new Set();
  /** Since when a change waits, and when the last one came. @type {number | null} */
  #since = null;
  #last = 0;
  /** When the last refresh or action of the user's ended. */
  #disturbed = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {(done: (answered: boolean) => void) => void} refresh asks, and says when that has ended */
  constructor(refresh) {
    this.#refresh = refresh;
  }

  /** Whether a refresh is on its way. */
  get running() {
    return this.#running;
  }

  /** Something changed: refresh, at once unless there was a refresh or an action of the user's a moment ago. */
  changed() {
    this.#last = performance.now();
    this.#since ??= this.#last;
    this.#plan();
  }

  /**
   * A request is sent. Unless it is the refresh itself, refreshes wait until it has ended.
   *
   * @param {object} request
   */
  began(request) {
    if (!this.#sending) this.#others.add(request);
  }

  /**
   * @param {object} request
   * @param {boolean} acted whether the request may have changed something
   */
  ended(request, acted) {
    if (!this.#others.delete(request)) return;
    if (acted) this.#disturbed = performance.now();
    this.#plan();
  }

  #plan() {
    clearTimeout(this.#timer);
    if (this.#since === null || this.#running || this.#others.size > 0) return;
    const wait = this.#due(this.#since) - performance.now();
    if (wait > 0) this.#timer = setTimeout(() => this.#plan(), wait);
    else this.#start();
  }

  /** @param {number} since */
  #due(since) {
    if (since - this.#disturbed >= QUIET_MS) return since;
    return Math.min(Math.max(this.#last, this.#disturbed) + QUIET_MS, since + LONGEST_MS);
  }

  #start() {
    this.#since = null;
    this.#running = this.#sending = true;
    this.#refresh((answered) => {
      this.#running = false;
      this.#disturbed = performance.now();
      if (answered) this.#plan();
      else setTimeout(() => this.changed(), AGAIN_MS);
    });
    this.#sending = false;
  }
}
