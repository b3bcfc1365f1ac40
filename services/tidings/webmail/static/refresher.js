/** Fetches again when told, never twice at once. */

import { backoff } from "/client/tidings.js";

/**
 * However often it is asked while a fetch runs, one more follows: that one began after the last change it was asked
 * for. A fetch that failed is repeated, as nothing else would ever bring the page up to date.
 */
export class Refresher {
  #fetch;
  #failed;
  #running = false;
  #wanted = false;
  #failures = 0;

  /**
   * @param {() => Promise<void>} fetch
   * @param {(error: unknown) => boolean} failed is told why; whether to try again
   */
  constructor(fetch, failed) {
    this.#fetch = fetch;
    this.#failed = failed;
  }

  /** Something changed. */
  async request() {
    this.#wanted = true;
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#wanted) await this.#once();
    } finally {
      this.#running = false;
    }
  }

  async #once() {
    this.#wanted = false;
    try {
      await this.#fetch();
      this.#failures = 0;
    } catch (error) {
      if (!this.#failed(error)) return;
      this.#wanted = true;
      const pause = backoff(this.#failures++);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}
