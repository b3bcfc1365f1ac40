/**
 * Tidings' browser client: hear of every change in a JMAP account. Over one WebSocket (RFC 8887); where that cannot be
 * had, over an event stream (RFC 8620 section 7.3), and where that cannot be had either, by long polls. One cursor goes
 * through all of them.
 *
 * One file, no dependencies, no build step. See README.md beside it.
 *
 * @module tidings-client
 */

/** The first reconnect waits up to this long, each further one up to twice as long. */
export const BACKOFF_BASE_MS = 1_000;
/** No reconnect waits longer, but for a server that asks for it. */
export const BACKOFF_CAP_MS = 30_000;
/** A connection that has told nothing by then is doubted. */
export const OPEN_MS = 15_000;
/** So many attempts in a row have to fail, while plain requests are answered, before a transport counts as blocked. */
export const BLOCKED_AFTER = 2;
/** After so many failures in a row of the last transport, all are tried anew. */
export const FORGET_AFTER = 5;
/** After this long on a lesser transport the better ones are tried again; then after twice as long, and so on. */
export const BETTER_MS = 300_000;
/** They are not tried less often. */
export const BETTER_CAP_MS = 3_600_000;
/** The server says something at least every two minutes; after this much silence it is asked whether it is there. */
export const SILENT_MS = 180_000;
/** The same when there is a reason to doubt: the machine woke up, the network came back, the page is looked at. */
export const DOUBT_MS = 15_000;
/** An answer that takes longer is taken for none. */
export const PROBE_MS = 10_000;
/** Event streams are pinged this often, which no usual proxy takes for idle. */
export const PING_S = 30;
/** Long polls wait this long, which no usual proxy takes for dead. */
export const WAIT_S = 25;
/** Between an answer and the next poll, so that a busy mailbox does not make it a race. */
export const POLL_GAP_MS = 250;
/** A server that asks to be left alone for longer is asked again by then. */
export const PAUSE_CAP_MS = 600_000;
/** A connection that lasted this long makes up for the failures before it. */
export const STABLE_MS = 30_000;
/** So does one this long that the server ended to restart: it sends its clients away at a pace, and need not be spared. */
export const SETTLED_MS = 1_000;
/** How often the silence is measured. A tick that comes much later than that means the machine slept. */
export const TICK_MS = 10_000;

/** Statuses of answers that asking again would not mend: what is asked for is wrong, or it is nothing for this client. */
const REFUSALS = [400, 401, 403];
/** Close codes of RFC 6455 section 7.4: the connection just broke; the service restarts; try again later. */
const BROKEN = 1006;
const RESTART = 1012;
const LATER = 1013;

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
 * How the client is told, the best first.
 * @typedef {"websocket" | "eventsource" | "poll"} Transport
 */

/**
 * Where the client stands.
 * - `connecting`: a connection is being made, or made and not yet subscribed.
 * - `connected`: whatever changes from here on is told. With `resumed`, so was what changed since the cursor (in
 *   this or an earlier call of `onChange`); without, anything may have changed before: fetch everything. Said again
 *   when the transport changes.
 * - `waiting`: not connected; the next attempt is in `retryInMs`. `offline` is the browser's word, which may be
 *   wrong. `code` is the close code of the last connection (RFC 6455 section 7.4) or what it would have been, 1006 when
 *   it just broke.
 * - `stopped`: by `stop()`, or, with an `error`, because the server refused what was asked for; `httpStatus` is that
 *   of its answer, if it was one of HTTP: 401 for a token that is missing or has expired.
 * @typedef {{state: "connecting", transport: Transport}
 *   | {state: "connected", resumed: boolean, transport: Transport}
 *   | {state: "waiting", retryInMs: number, offline: boolean, code: number}
 *   | {state: "stopped", error?: string, httpStatus?: number}} Status
 */

/**
 * @typedef {object} Options
 * @property {string | URL | (() => string | URL | Promise<string | URL>)} url
 *   The WebSocket, such as `/jmap/ws`; http(s) and relative URLs will do. The event stream and the polls are beside it,
 *   as `eventsource` and `changes`, and get its query. A function is asked before each attempt, so that it can put a
 *   fresh token in.
 * @property {readonly string[] | null} [types] JMAP data types to hear of; all when absent or null.
 * @property {(changed: Changed) => void} onChange Called once per push that names a change.
 * @property {(status: Status) => void} [onStatus]
 * @property {string | null} [cursor] Where to resume, as an earlier `onCursor` was told.
 * @property {(cursor: string) => void} [onCursor]
 *   Called after `onChange` with every new cursor, to keep it somewhere longer-lived than this page.
 * @property {() => number} [random] In [0, 1); for tests.
 */

/**
 * What a connection says of itself, until it is closed: that something was heard, a StateChange, that the server refused
 * it, or that it is gone, with a close code and how long the server asks to stay away.
 * @typedef {object} Events
 * @property {() => void} heard
 * @property {(message: {changed?: Changed, pushState?: string}) => void} told
 * @property {(error: string, httpStatus?: number) => void} refused
 * @property {(code: number, pauseMs?: number) => void} lost
 */

/**
 * A connection of one of the transports. `ask` makes the server say something; without it, `quietMs` of silence tell.
 * @typedef {{close: () => void, ask?: () => void}} Connection
 * @typedef {Connection & {index: number, url: URL, heard: boolean, resuming: boolean}} Link
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

/**
 * How long to be content with a lesser transport before the better ones are tried again. When what was blocked for
 * everybody is so no more, not everybody comes at once.
 *
 * @param {number} tried how often they were, in vain
 * @param {() => number} [random] in [0, 1)
 * @returns {number} milliseconds
 */
export function betterIn(tried, random = Math.random) {
  return Math.min(BETTER_CAP_MS, BETTER_MS * 2 ** tried) * (1 - random() / 2);
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
  #status;
  /** The transport in use, as an index. What worked last is what comes next. */
  #chosen = 0;
  /** @type {Link | null} */
  #link = null;
  /** Counts attempts, so that what belongs to an earlier one is recognised. */
  #attempt = 0;
  #failures = 0;
  /** Failures in a row that were the transport's. */
  #blocked = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #asking = new AbortController();
  /** @type {Link | null} a connection of a better transport, which takes over if it is told something */
  #trial = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #trialTimer;
  #trials = 0;
  #betterAt = 0;
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
    this.#status = { state: "connecting", transport: TRANSPORTS[0].name };
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
    this.#drop();
    const attempt = this.#attempt;
    this.#timer = setTimeout(() => this.#suspect(true), OPEN_MS);
    this.#report({ state: "connecting", transport: TRANSPORTS[this.#chosen].name });
    try {
      const url = await this.#address();
      if (attempt === this.#attempt) this.#link = this.#open(this.#chosen, url);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      report(error);
      this.#lost(BROKEN);
    }
  }

  async #address() {
    return new URL(typeof this.#url === "function" ? await this.#url() : this.#url, globalThis.location?.href);
  }

  /**
   * @param {number} index of the transport
   * @param {URL} url
   * @returns {Link}
   */
  #open(index, url) {
    /** @type {Link} */
    const link = { index, url, heard: false, resuming: this.#cursor !== null, close: () => {} };
    /** @type {(handle: (...values: any[]) => void) => (...values: any[]) => void} */
    const unlessGivenUp = (handle) => (...values) => {
      if (link === this.#link || link === this.#trial) handle(...values);
    };
    return Object.assign(link, TRANSPORTS[index].open(url, this.#types, this.#cursor, {
      heard: unlessGivenUp(() => this.#heard(link)),
      told: unlessGivenUp((message) => this.#told(link, message)),
      refused: unlessGivenUp((error, httpStatus) => this.#refused(link, error, httpStatus)),
      lost: unlessGivenUp((code, pauseMs) => this.#broke(link, code, pauseMs)),
    }));
  }

  /** @param {Link} link */
  #heard(link) {
    link.heard = true;
    if (link !== this.#link) return;
    this.#heardAt = Date.now();
    this.#probedAt = null;
  }

  /**
   * @param {Link} link
   * @param {{changed?: Changed, pushState?: string}} message
   */
  #told(link, { changed, pushState }) {
    if (link === this.#trial) this.#switch(link);
    this.#heard(link);
    const attempt = this.#attempt;
    const transport = TRANSPORTS[link.index].name;
    if (typeof pushState === "string") this.#cursor = pushState;
    if (this.#status.state !== "connected" || this.#status.transport !== transport) {
      clearTimeout(this.#timer);
      this.#asking.abort();
      this.#blocked = 0;
      this.#connectedAt = Date.now();
      this.#report({ state: "connected", resumed: link.resuming, transport });
    }
    if (changed && Object.keys(changed).length > 0) call(this.#onChange, changed);
    if (typeof pushState === "string" && attempt === this.#attempt) call(this.#onCursor, pushState);
  }

  /**
   * @param {Link} link
   * @param {string} error
   * @param {number} [httpStatus]
   */
  #refused(link, error, httpStatus) {
    if (link === this.#trial) this.#try(link.index + 1);
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
    if (link === this.#trial) this.#try(link.index + 1);
    else if (this.#status.state === "connected" || code !== BROKEN) this.#lost(code, pauseMs);
    else this.#suspect(false);
  }

  /**
   * An attempt has broken, or has told nothing in time. Browsers do not say why: a plain request finds out whether the
   * server refuses this client, or is not there either, or whether it is only this transport that something blocks.
   * @param {boolean} late
   */
  async #suspect(late) {
    const link = this.#link;
    if (!link || link.index === TRANSPORTS.length - 1) {
      if (link && ++this.#blocked >= FORGET_AFTER) this.#chosen = this.#blocked = 0;
      this.#lost(BROKEN);
      return;
    }
    // One that was heard of may be well, and wait for a server whose change log is away.
    if (!late || !link.heard) this.#drop();
    const attempt = this.#attempt;
    const asking = this.#asking = new AbortController();
    this.#timer = setTimeout(() => asking.abort(), OPEN_MS);
    const found = await probe(link.url, asking.signal);
    if (attempt !== this.#attempt || this.#status.state !== "connecting") return;
    clearTimeout(this.#timer);
    if (REFUSALS.includes(found.status)) {
      this.#end({ state: "stopped", error: found.detail, httpStatus: found.status });
    } else if (found.answers) {
      this.#blame(late);
      this.#lost(BROKEN);
    } else if (this.#link) {
      this.#timer = setTimeout(() => this.#suspect(true), SILENT_MS);
    } else this.#lost(BROKEN, found.pauseMs);
  }

  /**
   * The transport failed though the server is there. What breaks may be chance; what hangs will hang again.
   * @param {boolean} late
   */
  #blame(late) {
    this.#failures = 0;
    this.#blocked += late ? BLOCKED_AFTER : 1;
    if (this.#blocked < BLOCKED_AFTER) return;
    this.#chosen++;
    this.#blocked = 0;
    this.#trials = 0;
    this.#betterAt = Date.now() + betterIn(this.#trials++, this.#random);
  }

  /**
   * Tries a better transport beside the one in use, which goes on until the better one has proved itself.
   * @param {number} index
   */
  async #try(index) {
    clearTimeout(this.#trialTimer);
    this.#trial?.close();
    this.#trial = null;
    if (index >= this.#chosen) return;
    const attempt = this.#attempt;
    try {
      const url = await this.#address();
      if (attempt !== this.#attempt || this.#trial) return;
      this.#trial = this.#open(index, url);
      this.#trialTimer = setTimeout(() => this.#try(index + 1), OPEN_MS);
    } catch (error) {
      report(error);
    }
  }

  /** @param {Link} link */
  #switch(link) {
    clearTimeout(this.#trialTimer);
    this.#trial = null;
    this.#link?.close();
    this.#link = link;
    this.#chosen = link.index;
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
    clearTimeout(this.#trialTimer);
    this.#attempt++;
    this.#probedAt = null;
    this.#asking.abort();
    const links = [this.#link, this.#trial];
    this.#link = this.#trial = null;
    for (const link of links) link?.close();
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
      else this.#lost(BROKEN);
    } else this.#doubt(slept ? DOUBT_MS : SILENT_MS);
    if (this.#chosen > 0 && this.#status.state === "connected" && !this.#trial && now >= this.#betterAt) {
      this.#betterAt = Date.now() + betterIn(this.#trials++, this.#random);
      this.#try(0);
    }
  }

  /**
   * Asks whether the server is still there, if it has not been heard of for `silence` milliseconds. A connection can
   * be dead without anybody having said so: its pings are answered by the browser, unseen by this code. What cannot be
   * asked is expected to say something by itself.
   * @param {number} silence
   */
  #doubt(silence) {
    const link = this.#link;
    if (!link?.heard || this.#probedAt !== null) return;
    if (Date.now() - this.#heardAt >= (TRANSPORTS[link.index].quietMs ?? silence)) this.#probe();
  }

  #probe() {
    this.#probedAt = Date.now();
    this.#link?.ask?.();
  }

  /** Follows the page's life, in a page. */
  #listen() {
    const { document } = globalThis;
    if (!document) return;
    const { signal } = this.#listening;
    addEventListener("online", () => {
      this.#doubt(DOUBT_MS);
      // Another network may block less.
      this.#trials = this.#betterAt = 0;
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
 * The transports, the best first. `quietMs` is how long one that is well may be silent, where it cannot be asked.
 * @type {{name: Transport, quietMs?: number,
 *   open: (url: URL, types: readonly string[] | null, cursor: string | null, events: Events) => Connection}[]}
 */
const TRANSPORTS = [
  { name: "websocket", open: openWebSocket },
  { name: "eventsource", open: openEventStream, quietMs: PING_S * 1_000 + PROBE_MS },
  { name: "poll", open: openPolls, quietMs: WAIT_S * 1_000 + PROBE_MS },
];

/** @type {typeof TRANSPORTS[number]["open"]} */
function openWebSocket(url, types, cursor, { heard, told, refused, lost }) {
  const found = new URL(url);
  found.protocol = found.protocol.replace(/^http/, "ws");
  const socket = new WebSocket(found, "jmap");
  socket.onopen = () => {
    heard();
    socket.send(JSON.stringify({
      "@type": "WebSocketPushEnable",
      dataTypes: types,
      ...(cursor !== null && { pushState: cursor }),
    }));
  };
  socket.onmessage = ({ data }) => {
    let message;
    try {
      message = JSON.parse(String(data));
    } catch {
      lost(BROKEN);
      return;
    }
    heard();
    if (message?.["@type"] === "StateChange") told(message);
    else if (message?.["@type"] === "RequestError" && message.requestId !== PROBE_ID) {
      refused(String(message.detail ?? message.type));
    }
  };
  socket.onclose = ({ code }) => lost(code);
  return { close: () => socket.close(), ask: () => socket.send(PROBE) };
}

/** @type {typeof TRANSPORTS[number]["open"]} */
function openEventStream(url, types, cursor, { heard, told, refused, lost }) {
  const closing = new AbortController();
  const read = async () => {
    const headers = cursor === null ? undefined : { "Last-Event-ID": cursor };
    const response = await get(beside(url, "eventsource", types, { ping: PING_S }), closing.signal, headers);
    if (response.status !== 200) return reject(response, refused, lost);
    if (!response.body || !/^text\/event-stream\b/.test(response.headers.get("Content-Type") ?? "")) return lost(BROKEN);
    heard();
    let pauseMs;
    for await (const { event, id, data, retry } of readEvents(response.body)) {
      heard();
      if (retry !== undefined) pauseMs = pause(Number(retry));
      if (id !== undefined) told({ changed: event === "state" ? JSON.parse(data).changed : {}, pushState: id });
    }
    lost(pauseMs === undefined ? BROKEN : RESTART, pauseMs);
  };
  read().catch(() => lost(BROKEN));
  return { close: () => closing.abort() };
}

/** @type {typeof TRANSPORTS[number]["open"]} */
function openPolls(url, types, cursor, { heard, told, refused, lost }) {
  const closing = new AbortController();
  const ask = async () => {
    // The first one asks what was missed; from then on the server waits for something to tell.
    for (let since = cursor, wait = 0; ; wait = WAIT_S) {
      const askedAt = Date.now();
      /** @type {Record<string, string | number>} */
      const given = since === null ? {} : { since, wait };
      const response = await get(beside(url, "changes", types, given), closing.signal);
      if (response.status !== 200 && response.status !== 304) return reject(response, refused, lost);
      const message = response.status === 200 ? await response.json() : { pushState: entityTag(response) ?? since };
      since = message.pushState;
      told(message);
      // A server that ends the wait goes away, as does a connection whose token ends.
      if (response.status === 304 && Date.now() - askedAt < (wait - 1) * 1_000) return lost(RESTART);
      await new Promise((resolve) => setTimeout(resolve, POLL_GAP_MS));
    }
  };
  ask().catch(() => lost(BROKEN));
  return { close: () => closing.abort() };
}

/**
 * Whether the server answers, or would not have this client: asked with a poll that does not wait.
 * @param {URL} url
 * @param {AbortSignal} signal
 */
async function probe(url, signal) {
  try {
    const response = await get(beside(url, "changes", null, {}), signal);
    const body = await response.json().catch(() => null);
    // What else answers 200 may be a network that wants to be paid first.
    const answers = body?.["@type"] === "StateChange";
    return { answers, status: response.status, detail: detail(response, body), pauseMs: retryAfter(response) };
  } catch {
    return { answers: false, status: 0, detail: "", pauseMs: 0 };
  }
}

/**
 * @param {Response} response neither 200 nor 304
 * @param {Events["refused"]} refused
 * @param {Events["lost"]} lost
 */
async function reject(response, refused, lost) {
  if (REFUSALS.includes(response.status)) refused(detail(response, await response.json().catch(() => null)), response.status);
  // What stands between may answer anything else; for what is the server's state the transport is not to blame.
  else lost(response.status >= 500 || response.status === 429 ? LATER : BROKEN, retryAfter(response));
}

/**
 * Asks as a WebSocket would: with cookies, and past every cache.
 * @param {URL} url
 * @param {AbortSignal} signal
 * @param {HeadersInit} [headers]
 */
function get(url, signal, headers) {
  return fetch(url, { signal, headers, cache: "no-store", credentials: "include" });
}

/**
 * @param {URL} url of the WebSocket
 * @param {string} name of its neighbour
 * @param {readonly string[] | null} types
 * @param {Record<string, string | number>} query
 */
function beside(url, name, types, query) {
  const found = new URL(url);
  found.protocol = found.protocol.replace(/^ws/, "http");
  found.pathname = found.pathname.replace(/[^/]*$/, name);
  for (const [key, value] of Object.entries({ ...(types && { types: types.join() }), ...query })) {
    found.searchParams.set(key, String(value));
  }
  return found;
}

/** @param {Response} response @param {any} problem its body @returns {string} what it says for people (RFC 9457) */
function detail(response, problem) {
  return String(problem?.detail ?? `HTTP status ${response.status}`);
}

/** @param {Response} response @returns {string | undefined} */
function entityTag(response) {
  return /"(.*)"/.exec(response.headers.get("ETag") ?? "")?.[1];
}

/** @param {Response} response */
function retryAfter(response) {
  return pause(Number(response.headers.get("Retry-After") ?? 0) * 1_000);
}

/** @param {number} milliseconds as somebody else says @returns {number} such that a timer can take it */
function pause(milliseconds) {
  return Number.isFinite(milliseconds) ? Math.min(Math.max(milliseconds, 0), PAUSE_CAP_MS) : 0;
}

/**
 * The events of a stream (HTML section 9.2.6), also those that dispatch nothing.
 * @param {ReadableStream<BufferSource>} body
 * @returns {AsyncGenerator<Record<string, string>>}
 */
async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  /** @type {Record<string, string>} */
  let event = {};
  let rest = "";
  for (let chunk; !(chunk = await reader.read()).done;) {
    // A CR at the end may be half of a CRLF.
    const lines = (rest + chunk.value).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [name, value] = line.split(/: ?(.*)/s);
      if (line === "") {
        yield event;
        event = {};
      } else event[name] = name === "data" && "data" in event ? `${event.data}\n${value}` : value ?? "";
    }
  }
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
