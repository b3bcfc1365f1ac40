/** One connection to the gateway, kept for as long as it is wanted. */

import { call, report } from "./callbacks.js";
import { BROKEN, probe, REFUSALS, RESTART } from "./http.js";
import { Ladder } from "./ladder.js";
import { followPage } from "./page.js";
import { backoff, DOUBT_MS, OPEN_MS, PROBE_MS, SETTLED_MS, STABLE_MS } from "./timing.js";
import { TRANSPORTS } from "./transports.js";
import { Trial } from "./trial.js";
import { Watchdog } from "./watchdog.js";

/** @import { Changed, Link, Options, Status } from "./types.js" */

/** Keeps one connection until it is stopped. The client connects at once. */
export class TidingsClient {
  #options;
  #random;
  /** @type {string | null} */
  #cursor;
  /** @type {Status} */
  #status;
  #ladder;
  #watchdog = new Watchdog(() => this.#lost(BROKEN), () => this.#ticked());
  /** @type {Link | null} */
  #link = null;
  /** A connection of a better transport, which takes over if it is told something. */
  #trial;
  /** Counts attempts, so that what belongs to an earlier one is recognised. */
  #attempt = 0;
  #failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #asking = new AbortController();
  #connectedAt = 0;
  #leaving = new AbortController();

  /** @param {Options} options */
  constructor(options) {
    if (typeof options.onChange !== "function") throw new TypeError("onChange must be a function");
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#cursor = options.cursor ?? null;
    this.#ladder = new Ladder(globalThis.WebSocket ? 0 : 1, TRANSPORTS.length - 1, this.#random);
    this.#trial = new Trial((rung) => this.#tryOpening(rung));
    this.#status = { state: "connecting", transport: TRANSPORTS[this.#ladder.rung].name };
    this.#follow();
    this.#connect();
  }

  /** The newest cursor. Another client can resume from it. */
  get cursor() {
    return this.#cursor;
  }

  /** The state of the client. */
  get status() {
    return this.#status;
  }

  /** Ends the connection for good. */
  stop() {
    this.#end({ state: "stopped" });
  }

  /** Ends a wait and connects now. Does nothing in other states. */
  retry() {
    if (this.#status.state === "waiting") this.#connect();
  }

  async #connect() {
    this.#drop();
    const attempt = this.#attempt;
    this.#expect();
    this.#report({ state: "connecting", transport: TRANSPORTS[this.#ladder.rung].name });
    try {
      const url = await this.#address();
      if (attempt !== this.#attempt) return;
      // The time that the URL took is not the transport's.
      this.#expect();
      this.#link = this.#open(this.#ladder.rung, url);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      report(error);
      this.#lost(BROKEN);
    }
  }

  /** The attempt has so long from now on. */
  #expect() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#late(), OPEN_MS);
  }

  async #address() {
    const { url } = this.#options;
    return new URL(typeof url === "function" ? await url() : url, globalThis.location?.href);
  }

  /**
   * @param {number} rung
   * @param {URL} url
   * @returns {Link}
   */
  #open(rung, url) {
    const { open, quietMs } = TRANSPORTS[rung];
    /** @type {Link} */
    const link = { rung, url, quietMs, heard: false, resuming: this.#cursor !== null, stalled: false, close: () => {} };
    /** @type {(handle: (...values: any[]) => void) => (...values: any[]) => void} */
    const unlessGivenUp = (handle) => (...values) => {
      if (link === this.#link || link === this.#trial.link) handle(...values);
    };
    return Object.assign(link, open(url, this.#options.types ?? null, this.#cursor, {
      heard: unlessGivenUp(() => this.#heard(link)),
      told: unlessGivenUp((message) => this.#told(link, message)),
      stalled: unlessGivenUp((stalled) => this.#stalled(link, stalled)),
      refused: unlessGivenUp((error, httpStatus) => this.#refused(link, error, httpStatus)),
      lost: unlessGivenUp((code, pauseMs) => this.#broke(link, code, pauseMs)),
    }));
  }

  /**
   * @param {number} rung of a better transport, if it is one
   * @returns {Promise<Link | null>}
   */
  async #tryOpening(rung) {
    if (rung >= this.#ladder.rung) return null;
    const attempt = this.#attempt;
    try {
      const url = await this.#address();
      return attempt === this.#attempt ? this.#open(rung, url) : null;
    } catch (error) {
      report(error);
      return null;
    }
  }

  /** @param {Link} link */
  #heard(link) {
    link.heard = true;
    if (link === this.#link) this.#watchdog.heard(link);
  }

  /**
   * @param {Link} link
   * @param {{changed?: Changed, pushState?: string}} message
   */
  #told(link, { changed, pushState }) {
    if (link === this.#trial.link) {
      this.#trial.end();
      this.#link?.close();
      this.#link = link;
    }
    this.#heard(link);
    const attempt = this.#attempt;
    const transport = TRANSPORTS[link.rung].name;
    if (this.#status.state !== "connected" || this.#status.transport !== transport) {
      clearTimeout(this.#timer);
      this.#asking.abort();
      this.#ladder.worked(link.rung);
      this.#connectedAt = Date.now();
      this.#report({ state: "connected", resumed: link.resuming, transport, ...(link.stalled && { stalled: true }) });
    }
    if (attempt !== this.#attempt) return;
    if (typeof pushState === "string") this.#cursor = pushState;
    if (changed && Object.keys(changed).length > 0) call(this.#options.onChange, changed);
    if (typeof pushState === "string" && attempt === this.#attempt) call(this.#options.onCursor, pushState);
  }

  /**
   * The server says whether changes reach it.
   * @param {Link} link
   * @param {boolean} stalled
   */
  #stalled(link, stalled) {
    if (link.stalled === stalled) return;
    link.stalled = stalled;
    const status = this.#status;
    if (link !== this.#link || (status.state !== "connecting" && status.state !== "connected")) return;
    const { stalled: _, ...rest } = status;
    this.#report(/** @type {Status} */ ({ ...rest, ...(stalled && { stalled: true }) }));
  }

  /**
   * @param {Link} link
   * @param {string} error
   * @param {number} [httpStatus]
   */
  #refused(link, error, httpStatus) {
    if (link === this.#trial.link) this.#trial.next();
    // Perhaps only the token has come of age: the next attempt has a new one, or is refused too.
    else if (this.#status.state === "connected") this.#lost(BROKEN);
    else this.#end({ state: "stopped", error, ...(httpStatus && { httpStatus }) });
  }

  /**
   * @param {Link} link
   * @param {number} code
   * @param {number} [pauseMs]
   */
  #broke(link, code, pauseMs) {
    if (link === this.#trial.link) this.#trial.next();
    else if (this.#status.state === "connected" || code !== BROKEN) this.#lost(code, pauseMs);
    else this.#suspect(false);
  }

  /** An attempt has told nothing in time. A server that can be asked over it has the time of an answer. */
  #late() {
    if (this.#link?.ask?.()) this.#timer = setTimeout(() => this.#suspect(true), PROBE_MS);
    else this.#suspect(true);
  }

  /**
   * An attempt has broken, or has told nothing in time. Browsers do not say why: a plain request finds out whether the
   * server refuses this client, or is not there either, or whether it is only this transport that something blocks.
   * @param {boolean} late
   */
  async #suspect(late) {
    const link = this.#link;
    // The server speaks over it, and lets this client wait: for its turn, or for a change log that is away.
    if (late && link?.heard) return;
    if (!link || this.#ladder.isLast) {
      if (link) this.#ladder.failedLast();
      this.#lost(BROKEN);
      return;
    }
    this.#drop();
    const attempt = this.#attempt;
    const asking = this.#asking = new AbortController();
    this.#timer = setTimeout(() => asking.abort(), OPEN_MS);
    const found = await probe(link.url, asking.signal);
    if (attempt !== this.#attempt || this.#status.state !== "connecting") return;
    clearTimeout(this.#timer);
    if (REFUSALS.includes(found.status)) {
      this.#end({ state: "stopped", error: found.detail, httpStatus: found.status });
    } else if (found.answers) {
      this.#failures = 0;
      this.#ladder.failed(late);
      this.#lost(BROKEN);
    } else this.#lost(BROKEN, found.pauseMs);
  }

  /**
   * The connection is gone, or as good as gone.
   * @param {number} code
   * @param {number} [pauseMs]
   */
  #lost(code, pauseMs) {
    // A server that accepts and closes at once gets no clients that come back at once.
    const enough = code === RESTART ? SETTLED_MS : STABLE_MS;
    if (this.#status.state === "connected" && Date.now() - this.#connectedAt >= enough) this.#failures = 0;
    this.#drop();
    this.#wait(code, pauseMs);
  }

  /**
   * @param {number} code
   * @param {number} [pauseMs]
   */
  #wait(code, pauseMs = 0) {
    clearTimeout(this.#timer);
    const retryInMs = Math.round(pauseMs + backoff(this.#failures++, this.#random));
    this.#timer = setTimeout(() => this.#connect(), retryInMs);
    this.#report({ state: "waiting", retryInMs, offline: globalThis.navigator?.onLine === false, code });
  }

  /** Forgets the present connection, whatever still comes from it. */
  #drop() {
    clearTimeout(this.#timer);
    this.#attempt++;
    this.#watchdog.rest();
    this.#asking.abort();
    const link = this.#link;
    this.#link = null;
    link?.close();
    this.#trial.giveUp();
  }

  /** @param {Status} status */
  #end(status) {
    if (this.#status.state === "stopped") return;
    this.#drop();
    this.#watchdog.stop();
    this.#leaving.abort();
    this.#report(status);
  }

  /** @param {Status} status */
  #report(status) {
    this.#status = status;
    call(this.#options.onStatus, status);
  }

  #ticked() {
    if (this.#status.state !== "connected" || this.#trial.link) return;
    if (this.#ladder.due()) this.#trial.begin(this.#ladder.best);
  }

  #follow() {
    followPage({
      online: () => {
        this.#watchdog.doubt(DOUBT_MS);
        this.#ladder.forget();
        if (this.#status.state !== "waiting") return;
        // Soon, but not in step with everybody else whose network came back.
        this.#failures = 0;
        this.#wait(this.#status.code);
      },
      offline: () => this.#watchdog.doubt(0),
      visible: () => {
        this.retry();
        this.#watchdog.doubt(DOUBT_MS);
      },
      // A page with an open WebSocket may not enter the back/forward cache.
      left: () => {
        this.#drop();
        this.#report({ state: "waiting", retryInMs: Infinity, offline: false, code: 1001 });
      },
      returned: () => this.retry(),
    }, this.#leaving.signal);
  }
}
