/**
 * Tidings' browser client: hear of every change in a JMAP account, over one WebSocket (RFC 8887 push).
 *
 * One file, no dependencies, no build step. See README.md beside it.
 *
 * @module tidings-client
 */

/** The first reconnect waits up to this long, each further one up to twice as long. */
export const BACKOFF_BASE_MS = 1_000;
/** No reconnect waits longer. */
export const BACKOFF_CAP_MS = 30_000;
/** A connection that is not open by then is given up. */
export const OPEN_MS = 20_000;
/** The server says something at least every two minutes; after this much silence it is asked whether it is there. */
export const SILENT_MS = 180_000;
/** The same when there is a reason to doubt: the machine woke up, the network came back, the page is looked at. */
export const DOUBT_MS = 15_000;
/** An answer that takes longer is taken for none. */
export const PROBE_MS = 10_000;
/** A connection that lasted this long makes up for the failures before it. */
export const STABLE_MS = 30_000;
/** How often the silence is measured. A tick that comes much later than that means the machine slept. */
export const TICK_MS = 10_000;

const PROBE_ID = "tidings-probe";
const PROBE = JSON.stringify({
  "@type": "Request",
  id: PROBE_ID,
  using: ["urn:ietf:params:jmap:core"],
  methodCalls: [["Core/echo", {}, "0"]],
});

/**
 * What changed: account id -> data type -> its new state (RFC 8620 section 7.1).
 * @typedef {Record<string, Record<string, string>>} Changed
 */

/**
 * Where the client stands.
 * - `connecting`: a connection is being made, or made and not yet subscribed.
 * - `connected`: whatever changes from here on is told. With `resumed`, so was what changed since the cursor (in
 *   this or an earlier call of `onChange`); without, anything may have changed before: fetch everything.
 * - `waiting`: not connected; the next attempt is in `retryInMs`. `offline` is the browser's word, which may be
 *   wrong. `code` is the close code of the last connection (RFC 6455 section 7.4), 1006 when it just broke.
 * - `stopped`: by `stop()`, or, with an `error`, because the server refused what was asked for.
 * @typedef {{state: "connecting"}
 *   | {state: "connected", resumed: boolean}
 *   | {state: "waiting", retryInMs: number, offline: boolean, code: number}
 *   | {state: "stopped", error?: string}} Status
 */

/**
 * @typedef {object} Options
 * @property {string | URL | (() => string | URL | Promise<string | URL>)} url
 *   The WebSocket, such as `/jmap/ws`; http(s) and relative URLs will do. A function is asked before each attempt,
 *   so that it can put a fresh token in.
 * @property {readonly string[] | null} [types] JMAP data types to hear of; all when absent or null.
 * @property {(changed: Changed) => void} onChange Called once per push that names a change.
 * @property {(status: Status) => void} [onStatus]
 * @property {string | null} [cursor] Where to resume, as an earlier `onCursor` was told.
 * @property {(cursor: string) => void} [onCursor]
 *   Called after `onChange` with every new cursor, to keep it somewhere longer-lived than this page.
 * @property {() => number} [random] In [0, 1); for tests.
 */

/**
 * How long to wait before an attempt: exponential backoff with full jitter, so that the clients of a server that
 * went away do not come back at once.
 *
 * @param {number} failures attempts in a row that led to no subscription, so far
 * @param {() => number} [random] in [0, 1)
 * @returns {number} milliseconds
 */
export function backoff(failures, random = Math.random) {
  return random() * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** failures);
}

/** Keeps one connection, for as long as it is not stopped. It starts at once. */
export class TidingsClient {
  #url;
  #types;
  #onChange;
  #onStatus;
  #onCursor;
  #random;
  /** @type {string | null} */
  #cursor;
  /** @type {Status} */
  #status = { state: "connecting" };
  /** @type {WebSocket | null} */
  #socket = null;
  /** Counts attempts, so that what belongs to an earlier one is recognised. */
  #attempt = 0;
  #failures = 0;
  #resuming = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticking;
  #connectedAt = 0;
  #tickedAt = 0;
  #heardAt = 0;
  /** @type {number | null} */
  #probedAt = null;
  #listening = new AbortController();

  /** @param {Options} options */
  constructor({ url, types = null, onChange, onStatus, cursor = null, onCursor, random = Math.random }) {
    if (typeof onChange !== "function") throw new TypeError("onChange must be a function");
    this.#url = url;
    this.#types = types;
    this.#onChange = onChange;
    this.#onStatus = onStatus;
    this.#cursor = cursor;
    this.#onCursor = onCursor;
    this.#random = random;
    this.#listen();
    this.#tickedAt = Date.now();
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
    this.#connect();
  }

  /** The newest cursor: hand it to another client to go on from here. */
  get cursor() {
    return this.#cursor;
  }

  /** Where the client stands. */
  get status() {
    return this.#status;
  }

  /** Ends the connection for good. */
  stop() {
    this.#end({ state: "stopped" });
  }

  /** Connects now instead of at the end of the wait. Does nothing in any other state. */
  retry() {
    if (this.#status.state === "waiting") this.#connect();
  }

  async #connect() {
    clearTimeout(this.#timer);
    const attempt = ++this.#attempt;
    this.#report({ state: "connecting" });
    this.#timer = setTimeout(() => this.#lost(1006), OPEN_MS);
    try {
      const url = absolute(typeof this.#url === "function" ? await this.#url() : this.#url);
      if (attempt !== this.#attempt) return;
      this.#open(new WebSocket(url, "jmap"));
    } catch (error) {
      if (attempt !== this.#attempt) return;
      report(error);
      this.#lost(1006);
    }
  }

  /** @param {WebSocket} socket */
  #open(socket) {
    this.#socket = socket;
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.#heardAt = Date.now();
      this.#resuming = this.#cursor !== null;
      socket.send(JSON.stringify({
        "@type": "WebSocketPushEnable",
        dataTypes: this.#types,
        ...(this.#resuming && { pushState: this.#cursor }),
      }));
    };
    socket.onmessage = ({ data }) => this.#heard(data);
    socket.onclose = ({ code }) => this.#lost(code);
  }

  /** @param {unknown} data */
  #heard(data) {
    this.#heardAt = Date.now();
    this.#probedAt = null;
    let message;
    try {
      message = JSON.parse(String(data));
    } catch {
      this.#lost(1006);
      return;
    }
    if (message?.["@type"] === "StateChange") this.#changed(message);
    else if (message?.["@type"] === "RequestError" && message.requestId !== PROBE_ID) {
      // Asking again would be refused again.
      this.#end({ state: "stopped", error: String(message.detail ?? message.type) });
    }
  }

  /** @param {{changed?: Changed, pushState?: string}} message */
  #changed({ changed, pushState }) {
    const attempt = this.#attempt;
    if (typeof pushState === "string") this.#cursor = pushState;
    if (this.#status.state !== "connected") {
      this.#connectedAt = Date.now();
      this.#report({ state: "connected", resumed: this.#resuming });
    }
    if (changed && Object.keys(changed).length > 0) call(this.#onChange, changed);
    if (typeof pushState === "string" && attempt === this.#attempt) call(this.#onCursor, pushState);
  }

  /**
   * The connection is gone, or as good as gone.
   * @param {number} code
   */
  #lost(code) {
    // A server that accepts and closes at once gets no clients that come back at once.
    if (this.#status.state === "connected" && Date.now() - this.#connectedAt >= STABLE_MS) this.#failures = 0;
    this.#drop();
    this.#wait(code);
  }

  /** @param {number} code */
  #wait(code) {
    clearTimeout(this.#timer);
    const retryInMs = Math.round(backoff(this.#failures++, this.#random));
    this.#timer = setTimeout(() => this.#connect(), retryInMs);
    this.#report({ state: "waiting", retryInMs, offline: globalThis.navigator?.onLine === false, code });
  }

  /** Forgets the present connection, whatever still comes from it. */
  #drop() {
    clearTimeout(this.#timer);
    this.#attempt++;
    this.#probedAt = null;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** @param {Status} status */
  #end(status) {
    if (this.#status.state === "stopped") return;
    this.#drop();
    clearInterval(this.#ticking);
    this.#listening.abort();
    this.#report(status);
  }

  /** @param {Status} status */
  #report(status) {
    this.#status = status;
    call(this.#onStatus, status);
  }

  #tick() {
    const now = Date.now();
    const slept = now - this.#tickedAt > 2 * TICK_MS;
    this.#tickedAt = now;
    if (this.#probedAt !== null && now - this.#probedAt >= PROBE_MS) {
      // After sleep the answer gets its time from now on.
      if (slept) this.#probe();
      else this.#lost(1006);
    } else this.#doubt(slept ? DOUBT_MS : SILENT_MS);
  }

  /**
   * Asks whether the server is still there, if it has not been heard of for `silence` milliseconds. A connection can
   * be dead without anybody having said so: its pings are answered by the browser, unseen by this code.
   * @param {number} silence
   */
  #doubt(silence) {
    if (this.#socket?.readyState !== WebSocket.OPEN || this.#probedAt !== null) return;
    if (Date.now() - this.#heardAt >= silence) this.#probe();
  }

  #probe() {
    this.#probedAt = Date.now();
    this.#socket?.send(PROBE);
  }

  /** Follows the page's life, in a page. */
  #listen() {
    const { document } = globalThis;
    if (!document) return;
    const { signal } = this.#listening;
    addEventListener("online", () => {
      this.#doubt(DOUBT_MS);
      if (this.#status.state !== "waiting") return;
      // Soon, but not in step with everybody else whose network came back.
      this.#failures = 0;
      this.#wait(this.#status.code);
    }, { signal });
    addEventListener("offline", () => this.#doubt(0), { signal });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState !== "visible") return;
      this.retry();
      this.#doubt(DOUBT_MS);
    }, { signal });
    // A page with an open WebSocket may not enter the back/forward cache.
    addEventListener("pagehide", () => {
      this.#drop();
      this.#report({ state: "waiting", retryInMs: Infinity, offline: false, code: 1001 });
    }, { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && this.retry(), { signal });
  }
}

/**
 * @param {string | URL} url
 * @returns {URL} with a WebSocket scheme
 */
function absolute(url) {
  const found = new URL(url, globalThis.location?.href);
  found.protocol = found.protocol.replace(/^http/, "ws");
  return found;
}

/**
 * Calls back; what goes wrong there is reported like any uncaught error, and is not this client's end.
 * @template T
 * @param {((value: T) => void) | undefined} callback
 * @param {T} value
 */
function call(callback, value) {
  try {
    callback?.(value);
  } catch (error) {
    report(error);
  }
}

/** @param {unknown} error */
function report(error) {
  if (globalThis.reportError) globalThis.reportError(error);
  else console.error(error);
}
