/** A better transport is tried beside the one in use, which goes on until the better one has proved itself. */

import { OPEN_MS } from "./timing.js";

/** @import { Link } from "./types.js" */

/** Tries one rung after the other, each for as long as it may take to be told something. */
export class Trial {
  #open;
  #rung = 0;
  /** @type {Link | null} */
  #link = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {(rung: number) => Promise<Link | null>} open gives null if there is none to try */
  constructor(open) {
    this.#open = open;
  }

  /** The connection that is tried. */
  get link() {
    return this.#link;
  }

  /** @param {number} rung to begin with */
  async begin(rung) {
    this.giveUp();
    this.#rung = rung;
    const link = await this.#open(rung);
    if (!link) return;
    if (this.#link) {
      link.close();
      return;
    }
    this.#link = link;
    this.#timer = setTimeout(() => this.next(), OPEN_MS);
  }

  next() {
    this.begin(this.#rung + 1);
  }

  /** It proved itself, and is no trial any more. */
  end() {
    clearTimeout(this.#timer);
    this.#link = null;
  }

  giveUp() {
    const link = this.#link;
    this.end();
    link?.close();
  }
}
