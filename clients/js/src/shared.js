/** One connection for all the pages of a browser. */

import { call } from "./callbacks.js";
import { Leader } from "./leader.js";
import { Leadership } from "./leadership.js";
import { covers, only } from "./needs.js";
import { followPage } from "./page.js";
import { ALIVE_MS, ANSWER_MS } from "./timing.js";

/** @import { News } from "./leader.js" */
/** @import { Needs, SharedOptions, Status } from "./types.js" */

/**
 * What pages say to each other: a page what it needs and what it knows, that it goes, that it wonders whether there is
 * still a leader, that the leader need not wait; the leader its news, with what it is subscribed to. Of two leaders the
 * one with the higher term counts: the other was frozen.
 * @typedef {{hello: string, needs: Needs, cursor: string | null} | {bye: string} | {ask: true} | {retry: true}
 *   | {news: News, needs: Needs, leader: string, term: number}} Message
 */

/** @type {Status} */
const CONNECTING = { state: "connecting", transport: "websocket" };
/** Pages whose client says other things than this one are no group with it. */
const VERSION = "tidings/1";
/** So many questions in a row does a leader leave unanswered before it is replaced. */
const UNANSWERED = 2;

/**
 * Like `TidingsClient`, but all pages of one origin and `name` share one connection. One page, the leader, has the
 * connection and passes messages to the others. When the leader is closed or crashes, the next page goes on from its last
 * cursor. A frozen leader is replaced within half a minute. Without Web Locks or BroadcastChannel (they need HTTPS), each
 * page has its own connection.
 */
export class SharedClient {
  #options;
  #name;
  /** @type {Needs} */
  #needs;
  #id = Math.random().toString(36).slice(2);
  /** @type {Status} */
  #status = CONNECTING;
  /** @type {string | null} up to where this page knows everything that it needs */
  #cursor;
  /** @type {BroadcastChannel | null} */
  #channel = null;
  /** @type {Leadership | null} */
  #leadership = null;
  /** @type {Leader | null} */
  #leader = null;
  /** @type {Needs | null} what the present leader is subscribed to */
  #subscribed = null;
  #term = 0;
  #heardAt = 0;
  /** How often in a row the leader was asked whether it is there. */
  #asked = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticking;
  #leaving = new AbortController();

  /** @param {SharedOptions} options */
  constructor(options) {
    if (typeof options.onChange !== "function") throw new TypeError("onChange must be a function");
    this.#options = options;
    this.#name = `${VERSION} ${options.name ?? nameOf(options.url)}`;
    this.#needs = { types: options.types ?? null, accounts: options.accounts ?? null };
    this.#cursor = options.cursor ?? null;
    followPage({
      visible: () => this.retry(),
      // A page that holds a lock may not enter the back/forward cache.
      left: () => {
        this.#leave();
        this.#report({ state: "waiting", retryInMs: Infinity, offline: false, code: 1001 });
      },
      returned: () => this.#join(),
    }, this.#leaving.signal);
    this.#join();
  }

  /** The newest cursor. Another client can resume from it. */
  get cursor() {
    return this.#cursor;
  }

  /** The state of the client. */
  get status() {
    return this.#status;
  }

  /** Whether this page has the connection. */
  get leads() {
    return this.#leader !== null;
  }

  /** Ends the connection for this page. The other pages go on. */
  stop() {
    this.#end({ state: "stopped" });
  }

  /** Ends a wait and connects now. Does nothing in other states. */
  retry() {
    if (this.#leader) this.#leader.retry();
    else this.#post({ retry: true });
  }

  #join() {
    this.#heardAt = Date.now();
    this.#asked = 0;
    this.#report(CONNECTING);
    if (!globalThis.navigator?.locks || !globalThis.BroadcastChannel) {
      this.#lead();
      return;
    }
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#heard(data);
    this.#hello();
    this.#ticking = setInterval(() => this.#tick(), ANSWER_MS);
    this.#leadership = new Leadership(this.#name, () => this.#lead(), () => this.#follow());
  }

  #leave() {
    clearInterval(this.#ticking);
    this.#follow();
    this.#post({ bye: this.#id });
    this.#channel?.close();
    this.#channel = null;
    this.#leadership?.leave();
  }

  #lead() {
    const term = this.#term = Math.max(Date.now(), this.#term + 1) + Math.random();
    /** @type {(news: News, needs: Needs) => void} */
    const tell = (news, needs) => {
      const message = { news, needs, leader: this.#id, term };
      // What this page alone is refused, the others may be granted.
      if (!("status" in news) || news.status.state !== "stopped" || "refused" in news) this.#post(message);
      this.#heard(message);
    };
    this.#leader = new Leader(this.#id, this.#options.url, this.#needs, this.#subscribed, this.#cursor, tell);
    this.#leader.start();
  }

  #follow() {
    const leader = this.#leader;
    this.#leader = null;
    leader?.stop();
  }

  /** @param {Message} message */
  #heard(message) {
    if ("news" in message) this.#learn(message);
    else if ("hello" in message) this.#leader?.welcome(message.hello, message.needs, message.cursor);
    else if ("bye" in message) this.#leader?.forget(message.bye);
    else if ("ask" in message) this.#leader?.answer();
    else this.#leader?.retry();
  }

  /** @param {Extract<Message, {news: News}>} message */
  #learn({ news, needs, leader, term }) {
    if (term < this.#term) return;
    if (leader !== this.#id) {
      this.#follow();
      this.#leadership?.release();
    }
    this.#term = term;
    this.#heardAt = Date.now();
    this.#asked = 0;
    // What is refused is never told anything.
    if ("cursor" in news) this.#subscribed = needs;
    if ("who" in news) {
      if (leader !== this.#id) this.#hello();
    } else if ("refused" in news) {
      if (news.refused === this.#id) this.#end(news.status);
    } else if (!covers(needs, this.#needs)) {
      // What this page needs and the leader does not is missed meanwhile.
      this.#cursor = null;
    } else if ("status" in news) this.#become(news.status, news.since, news.alike ?? null);
    else if (this.#status.state === "connected") this.#told(news);
  }

  /**
   * @param {Status} status
   * @param {string | null} since
   * @param {string | null} alike
   */
  #become(status, since, alike) {
    if (status.state === "stopped") {
      this.#end(status);
      return;
    }
    let news = status, missed = false;
    if (alike !== null && alike === this.#cursor) this.#cursor = since;
    if (status.state === "connected") {
      const continuous = this.#cursor !== null && this.#cursor === since;
      missed = !continuous;
      this.#cursor = since;
      news = { ...status, resumed: continuous && status.resumed };
      // The leader welcomes another page.
      if (continuous && this.#status.state === "connected") news.resumed = this.#status.resumed;
    }
    if (missed || JSON.stringify(news) !== JSON.stringify(this.#status)) this.#report(news);
  }

  /** @param {News} news */
  #told(news) {
    if ("changed" in news) {
      const changed = only(news.changed, this.#needs);
      if (Object.keys(changed).length > 0) call(this.#options.onChange, changed);
    } else if ("cursor" in news) {
      // This page did not hear what came before.
      if (news.since !== this.#cursor) this.#report(/** @type {Status} */ ({ ...this.#status, resumed: false }));
      this.#cursor = news.cursor;
      call(this.#options.onCursor, news.cursor);
    }
  }

  #tick() {
    if (this.#leader || Date.now() - this.#heardAt < ALIVE_MS) return;
    if (this.#asked++ < UNANSWERED) this.#post({ ask: true });
    else {
      this.#asked = 0;
      this.#heardAt = Date.now();
      this.#leadership?.steal();
    }
  }

  #hello() {
    this.#post({ hello: this.#id, needs: this.#needs, cursor: this.#cursor });
  }

  /** @param {Message} message */
  #post(message) {
    this.#channel?.postMessage(message);
  }

  /** @param {Status} status */
  #end(status) {
    if (this.#status.state === "stopped") return;
    this.#leaving.abort();
    this.#leave();
    this.#report(status);
  }

  /** @param {Status} status */
  #report(status) {
    this.#status = status;
    call(this.#options.onStatus, status);
  }
}

/** @param {SharedOptions["url"]} url */
function nameOf(url) {
  if (typeof url === "function") return "";
  const found = new URL(url, globalThis.location?.href);
  found.searchParams.delete("access_token");
  return found.href;
}
