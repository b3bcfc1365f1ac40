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
  /** @type {string | null} the page for which more is subscribed to than before, until that is granted */
  #newest = null;
  /** @type {string | null} up to where everything has been told */
  #cursor;
  /** @type {Set<string | null>} `#cursor`, and those since which nothing of what is subscribed to has changed */
  #alike = new Set();
  #id;

  /**
   * @param {string} id of this page
   * @param {SharedOptions["url"]} url
   * @param {Needs} own what this page needs
   * @param {Needs | null} inherited what the leader before it was subscribed to
   * @param {string | null} cursor up to which the group has been told
   * @param {(news: News, needs: Needs) => void} tell everybody, this page too
   */
  constructor(id, url, own, inherited, cursor, tell) {
    this.#id = id;
    this.#url = url;
    this.#cursor = cursor;
    this.#tell = tell;
    this.#pages.set(id, own);
    this.#needs = inherited ? union([own, inherited]) : own;
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
    if (!covers(this.#needs, needs)) {
      this.#newest = page;
      this.#needs = union(this.#pages.values());
      this.#connect();
    } else if (this.#client) {
      const { status } = this.#client;
      // Whoever knows everything up to the cursor has missed nothing.
      const told = status.state === "connected" ? { ...status, resumed: true } : status;
      this.#say({ status: told, since: this.#cursor, alike: this.#alike.has(cursor) ? cursor : null });
    }
  }

  /** @param {string} page that has gone. It is left out when something else changes what is subscribed to. */
  forget(page) {
    this.#pages.delete(page);
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
    const newest = this.#newest;
    if (status.state === "connected") this.#newest = null;
    if (status.state !== "stopped" || newest === null || newest === this.#id) {
      this.#say({ status, since: this.#cursor });
      return;
    }
    // What was refused is what that page has added.
    this.#newest = null;
    this.#pages.delete(newest);
    this.#needs = union(this.#pages.values());
    this.#say({ refused: newest, status });
    this.#connect();
  }

  /** @param {News} news */
  #say(news) {
    this.#tell(news, this.#needs);
  }
}
