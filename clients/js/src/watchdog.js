/** Whether a connection that says nothing is still one. */

import { DOUBT_MS, PROBE_MS, SILENT_MS, TICK_MS } from "./timing.js";

/** @import { Connection } from "./types.js" */

/**
 * A connection can be dead without anybody having said so: its pings are answered by the browser, unseen by scripts.
 * One that has been silent for too long is asked; what cannot be asked is expected to say something by itself.
 */
export class Watchdog {
  #died;
  #ticked;
  #timer;
  #tickedAt = Date.now();
  #heardAt = 0;
  /** @type {number | null} since when an answer is expected */
  #askedAt = null;
  /** @type {Connection | null} */
  #watched = null;

  /**
   * @param {() => void} died the connection that is watched gives no answer
   * @param {() => void} ticked called every TICK_MS
   */
  constructor(died, ticked) {
    this.#died = died;
    this.#ticked = ticked;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** @param {Connection} connection that said something: the one to watch from now on */
  heard(connection) {
    this.#watched = connection;
    this.#heardAt = Date.now();
    this.#askedAt = null;
  }

  /** There is no connection. */
  rest() {
    this.#watched = this.#askedAt = null;
  }

  stop() {
    this.rest();
    clearInterval(this.#timer);
  }

  /** @param {number} silence in milliseconds, after which one that can be asked is asked */
  doubt(silence) {
    if (!this.#watched || this.#askedAt !== null) return;
    if (Date.now() - this.#heardAt >= (this.#watched.quietMs ?? silence)) this.#ask();
  }

  #ask() {
    this.#askedAt = Date.now();
    this.#watched?.ask?.();
  }

  #tick() {
    const now = Date.now();
    const slept = now - this.#tickedAt > 2 * TICK_MS;
    this.#tickedAt = now;
    if (this.#askedAt === null) this.doubt(slept ? DOUBT_MS : SILENT_MS);
    else if (now - this.#askedAt >= PROBE_MS) {
      // After sleep the answer gets its time from now on.
      if (slept) this.#ask();
      else this.#died();
    }
    this.#ticked();
  }
}
