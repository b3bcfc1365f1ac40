/** The types of the package: nothing here runs. */

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
 * - `stalled`, in either of these: the server says that changes do not reach it for now. What changes is told later;
 *   the status is said again, without it, when they do.
 * - `waiting`: not connected; the next attempt is in `retryInMs`. `offline` is the browser's word, which may be
 *   wrong. `code` is the close code of the last connection (RFC 6455 section 7.4) or what it would have been, 1006 when
 *   it just broke.
 * - `stopped`: by `stop()`, or, with an `error`, because the server refused what was asked for; `httpStatus` is that
 *   of its answer, if it was one of HTTP: 401 for a token that is missing or has expired.
 * @typedef {{state: "connecting", transport: Transport, stalled?: true}
 *   | {state: "connected", resumed: boolean, transport: Transport, stalled?: true}
 *   | {state: "waiting", retryInMs: number, offline: boolean, code: number}
 *   | {state: "stopped", error?: string, httpStatus?: number}} Status
 */

/**
 * @typedef {object} Options
 * @property {string | URL | (() => string | URL | Promise<string | URL>)} url The WebSocket, such
 *   as `/jmap/ws`; http(s) and relative URLs will do. The event stream and the polls are beside it, as `eventsource` and
 *   `changes`, and get its query. A function is asked before each attempt, so that it can put a fresh token in.
 * @property {readonly string[] | null} [types] JMAP data types to hear of; all when absent or null.
 * @property {(changed: Changed) => void} onChange Called once per push that names a change.
 * @property {(status: Status) => void} [onStatus] Called with each new status.
 * @property {string | null} [cursor] Where to resume, as an earlier `onCursor` was told.
 * @property {(cursor: string) => void} [onCursor] Called after `onChange` with every new cursor, to keep it
 *   somewhere longer-lived than this page.
 * @property {() => number} [random] In [0, 1); for tests.
 */

/**
 * What a page wants to hear of: these types of these accounts, all where null.
 * @typedef {{types: readonly string[] | null, accounts: readonly string[] | null}} Needs
 */

/**
 * @typedef {object} SharedOptions
 * @property {string | URL | ((needs: Needs) => string | URL | Promise<string | URL>)} url As for
 *   `TidingsClient`. A function is given what all the pages of the group need: the URL, or the token in it, has to be
 *   for all those accounts.
 * @property {string} [name] Pages of one origin with the same name share one connection: put in it whose mail it is. When
 *   absent, pages with the same URL do (without its `access_token`), and all pages that give a function.
 * @property {readonly string[] | null} [types] JMAP data types to hear of; all when absent or null.
 * @property {readonly string[] | null} [accounts] Accounts to hear of; all that the connection has when absent or null.
 * @property {(changed: Changed) => void} onChange Called once per push that names a change of these types and accounts.
 * @property {(status: Status) => void} [onStatus] Called with each new status.
 * @property {string | null} [cursor] Where to resume, as an earlier `onCursor` was told, if this page is the first.
 * @property {(cursor: string) => void} [onCursor] Called after `onChange` with every new cursor.
 */

/**
 * What a connection says of itself, until it is closed: that something was heard, a StateChange, that the server refused
 * it, or that it is gone, with a close code and how long the server asks to stay away.
 * @typedef {object} Events
 * @property {() => void} heard
 * @property {(message: {changed?: Changed, pushState?: string}) => void} told
 * @property {(stalled: boolean) => void} stalled whether changes reach the server
 * @property {(error: string, httpStatus?: number) => void} refused
 * @property {(code: number, pauseMs?: number) => void} lost
 */

/**
 * A connection of one of the transports. `ask` makes the server say something; without it, `quietMs` of silence tell.
 * @typedef {{close: () => void, ask?: () => void, quietMs?: number | undefined}} Connection
 * @typedef {Connection & {rung: number, url: URL, heard: boolean, resuming: boolean, stalled: boolean}} Link
 */

export {};
