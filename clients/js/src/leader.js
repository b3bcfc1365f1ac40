/** The page that has the connection, and tells the others. */

import { TidingsClient } from "./client.js";
import { covers, union } from "./needs.js";

/** @import { Changed, Needs, SharedOptions, Status } from "./types.js" */

/**
 * What it tells of the connection. `since` is the cursor up to which everything had been told before. Who knows
 * everything up to `alike` knows everything up to `since`, too: between the two nothing was told.
 * @typedef {{status: Status, since: string | null, alike?: string | null} | {changed: Changed}
 *   | {cursor: string, since: string | null} | {refused: string, status: Status} | {who: true} | {here: true}} News
 */

/** So many cursors does a leader remember while nothing changes. A gateway gives a new one every two minutes. */
const REMEMBERED = 100;

/** Keeps a connection with what all pages of the group need. */
export class Leader {
  #url;
  #tell;
  /** @type {TidingsClient | null} */
  #client = null;
  /** Counts connections, so that what an earlier one says is recognised. */
  #connection = 0;
  /** @type {Map<string, Needs>} what each page needs, by its id */
  #pages = new Map();
  /** @type {Needs} what is subscribed to */
  #needs;
  /** @type {Needs} what is not blamed on others if it is refused: this page's own, and what was granted */
  #granted;
  /** @type {Set<string>} pages that the connection asks more for, until that is granted */
  #tried = new Set();
  /** @type {Set<string>} pages that are asked for after those, one at a time, since one of several was refused */
  #waiting = new Set();
  /** @type {string | null} up to where everything has been told */
  #cursor;
  /** @type {Set<string | null>} `#cursor`, and those since which nothing of what is subscribed to has changed */
  #alike = new Set();

  /**
   * @param {string} id of this page
   * @param {SharedOptions["url"]} url
   * @param {Needs} own what this page needs
   * @param {Needs | null} inherited what the leader before it was subscribed to
   * @param {string | null} cursor up to which the group has been told
   * @param {(news: News, needs: Needs) => void} tell everybody, this page too
   */
  constructor(id, url, own, inherited, cursor, tell) {
    this.#url = url;
    this.#cursor = cursor;
    this.#tell = tell;
    this.#pages.set(id, own);
    this.#needs = this.#granted = inherited ? union([own, inherited]) : own;
  }

  start() {
    this.#say({ who: true });
    this.#connect();
  }

  /**
   * A page has come, or has been asked who it is.
   * @param {string} page
   * @param {Needs} needs
   * @param {string | null} cursor up to which it knows everything
   */
  welcome(page, needs, cursor) {
    this.#pages.set(page, needs);
    const covered = covers(this.#needs, needs);
    if (!covered && this.#waiting.size > 0) this.#waiting.add(page);
    else if (!covered) this.#ask(page);
    else {
      if (!covers(this.#granted, needs)) this.#tried.add(page);
      this.#greet(cursor);
    }
  }

  /**
   * A page has gone. It is left out when something else changes what is subscribed to, or at once if it has not been
   * granted: what it needs may be what keeps the others waiting.
   * @param {string} page
   */
  forget(page) {
    this.#pages.delete(page);
    this.#waiting.delete(page);
    if (this.#tried.delete(page)) this.#narrow();
  }

  /** A page wonders whether there is still somebody. */
  answer() {
    this.#say({ here: true });
  }

  retry() {
    this.#client?.retry();
  }

  stop() {
    this.#connection++;
    this.#client?.stop();
    this.#client = null;
  }

  /** @param {string | null} cursor up to which a page knows everything, whose needs are subscribed to */
  #greet(cursor) {
    if (!this.#client) return;
    const { status } = this.#client;
    // Whoever knows everything up to the cursor has missed nothing.
    const told = status.state === "connected" ? { ...status, resumed: true } : status;
    this.#say({ status: told, since: this.#cursor, alike: this.#alike.has(cursor) ? cursor : null });
  }

  /** @param {string} page to ask for, too */
  #ask(page) {
    this.#waiting.delete(page);
    this.#tried.add(page);
    this.#narrow();
  }

  /** Asks for no more than the pages need that are there and do not wait. */
  #narrow() {
    this.#needs = union([...this.#pages].filter(([page]) => !this.#waiting.has(page)).map(([, needs]) => needs));
    this.#connect();
  }

  /** Asks for the next page that waits. */
  #askNext() {
    const [page] = this.#waiting;
    const needs = this.#pages.get(page);
    if (needs && !covers(this.#needs, needs)) this.#ask(page);
    else {
      this.#waiting.delete(page);
      this.#greet(null);
      if (this.#waiting.size > 0) this.#askNext();
    }
  }

  #connect() {
    this.stop();
    // What is subscribed to from now on may have changed before.
    this.#alike = new Set([this.#cursor]);
    const connection = this.#connection;
    const [url, needs] = [this.#url, this.#needs];
    /** @type {<T>(handle: (value: T) => void) => (value: T) => void} */
    const unlessReplaced = (handle) => (value) => {
      if (connection === this.#connection) handle(value);
    };
    const client = new TidingsClient({
      url: typeof url === "function" ? () => url(needs) : url,
      types: needs.types,
      cursor: this.#cursor,
      onChange: unlessReplaced((changed) => {
        this.#alike.clear();
        this.#say({ changed });
      }),
      onCursor: unlessReplaced((cursor) => {
        this.#say({ cursor, since: this.#cursor });
        this.#moved(cursor);
      }),
      onStatus: unlessReplaced((status) => this.#changed(status)),
    });
    if (connection === this.#connection) this.#client = client;
    else client.stop();
  }

  /** @param {string} cursor */
  #moved(cursor) {
    this.#cursor = cursor;
    this.#alike.add(cursor);
    const [oldest] = this.#alike;
    if (this.#alike.size > REMEMBERED) this.#alike.delete(oldest);
  }

  /** @param {Status} status */
  #changed(status) {
    if (status.state === "stopped" && this.#tried.size > 0) {
      this.#refused(status);
      return;
    }
    this.#say({ status, since: this.#cursor });
    if (status.state !== "connected") return;
    this.#granted = this.#needs;
    this.#tried.clear();
    if (this.#waiting.size > 0) this.#askNext();
  }

  /**
   * What was refused is what a page has added: the one that was tried, or one of several, which are asked for anew.
   * @param {Status} status
   */
  #refused(status) {
    const [page, ...others] = this.#tried;
    this.#tried.clear();
    if (others.length === 0) {
      this.#pages.delete(page);
      this.#say({ refused: page, status });
    } else this.#waiting = new Set([page, ...others, ...this.#waiting]);
    const [next] = this.#waiting;
    if (next === undefined) this.#narrow();
    else this.#ask(next);
  }

  /** @param {News} news */
  #say(news) {
    this.#tell(news, this.#needs);
  }
}
