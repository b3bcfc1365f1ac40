/** Which transport is used, and when a better one is tried. It has no timers: it is asked. */

import { BLOCKED_AFTER, betterIn, FORGET_AFTER } from "./timing.js";

/** The rungs are numbers, the best is the lowest. What worked last is what comes next. */
export class Ladder {
  #best;
  #last;
  #random;
  #rung;
  /** Failures in a row that were the transport's. */
  #blocked = 0;
  /** How often better ones were tried, in vain. */
  #trials = 0;
  #betterAt = 0;

  /**
   * @param {number} best the first rung that this machine has
   * @param {number} last
   * @param {() => number} random in [0, 1)
   */
  constructor(best, last, random) {
    this.#best = this.#rung = best;
    this.#last = last;
    this.#random = random;
  }

  get best() {
    return this.#best;
  }

  get rung() {
    return this.#rung;
  }

  get isLast() {
    return this.#rung === this.#last;
  }

  /** @param {number} rung whose connection was told something */
  worked(rung) {
    this.#rung = rung;
    this.#blocked = 0;
  }

  /** Nothing lesser is left. A last rung that fails again and again makes all be tried anew. */
  failedLast() {
    if (++this.#blocked < FORGET_AFTER) return;
    this.#rung = this.#best;
    this.#blocked = 0;
  }

  /**
   * The transport failed though the server is there. What breaks may be chance; what hangs will hang again.
   * @param {boolean} hung
   */
  failed(hung) {
    this.#blocked += hung ? BLOCKED_AFTER : 1;
    if (this.#blocked < BLOCKED_AFTER) return;
    this.#rung++;
    this.#blocked = 0;
    this.#trials = 0;
    this.#postpone();
  }

  /** Another network may block less: better ones are tried at once. */
  forget() {
    this.#trials = this.#betterAt = 0;
  }

  /** @returns {boolean} whether it is time to try the better ones; then it is not again for longer than before */
  due() {
    if (this.#rung === this.#best || Date.now() < this.#betterAt) return false;
    this.#postpone();
    return true;
  }

  #postpone() {
    this.#betterAt = Date.now() + betterIn(this.#trials++, this.#random);
  }
}
