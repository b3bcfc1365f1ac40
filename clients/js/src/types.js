/** The types of the package: nothing here runs. */

/**
 * The changes: account id -> data type -> its new state (RFC 8620 section 7.1).
 * @typedef {Record<string, Record<string, string>>} Changed
 */

/**
 * The transport of pushes. The best comes first.
 * @typedef {"websocket" | "eventsource" | "poll"} Transport
 */

/**
 * The state of the client.
 * - `connecting`: the client is connecting, or connected and not yet subscribed.
 * - `connected`: the client receives every change from now on. With `resumed`, it has also received the changes since its
 *   cursor, in this or an earlier call of `onChange`. Without `resumed`, anything may have changed before: fetch
 *   everything. The client reports this status again when the transport changes.
 * - `stalled`, with `connecting` or `connected`: the server says that changes do not reach it for now. The changes come
 *   later. The client then reports the status again without `stalled`.
 * - `waiting`: not connected. The next attempt is in `retryInMs`. `offline` comes from the browser and may be wrong.
 *   `code` is the close code of the last connection (RFC 6455 section 7.4) or the equivalent one. 1006: the connection
 *   broke.
 * - `stopped`: by `stop()`, or, with an `error`, because the server refused the request. `httpStatus` is the status of an
 *   HTTP answer: 401 for a missing or expired token.
 * @typedef {{state: "connecting", transport: Transport, stalled?: true}
 *   | {state: "connected", resumed: boolean, transport: Transport, stalled?: true}
 *   | {state: "waiting", retryInMs: number, offline: boolean, code: number}
 *   | {state: "stopped", error?: string, httpStatus?: number}} Status
 */

/**
 * @typedef {object} Options
 * @property {string | URL | (() => string | URL | Promise<string | URL>)} url The WebSocket, such
 *   as `/jmap/ws`. http(s) and relative URLs work too. The event stream and the polls are beside it, as `eventsource` and
 *   `changes`, with the same query. A function is called before each attempt, so it can return a fresh token.
 * @property {readonly string[] | null} [types] JMAP data types to receive. Absent or null: all.
 * @property {(changed: Changed) => void} onChange Called once for each push that names a change.
 * @property {(status: Status) => void} [onStatus] Called with each new status.
 * @property {string | null} [cursor] Where to resume, from an earlier `onCursor`.
 * @property {(cursor: string) => void} [onCursor] Called after `onChange` with every new cursor. Keep the
 *   cursor outside of the page to resume after the page ends.
 * @property {() => number} [random] A random number in [0, 1). For tests.
 */

/**
 * The needs of a page: these types of these accounts. null: all.
 * @typedef {{types: readonly string[] | null, accounts: readonly string[] | null}} Needs
 */

/**
 * @typedef {object} SharedOptions
 * @property {string | URL | ((needs: Needs) => string | URL | Promise<string | URL>)} url As for
 *   `TidingsClient`. A function receives the needs of all pages of the group. The URL, or the token in it, must cover all
 *   these accounts.
 * @property {string} [name] Pages of one origin with the same name share one connection. Put the user into the
 *   name. Absent: pages with the same URL (without its `access_token`) share one, and all pages with a function share one.
 * @property {readonly string[] | null} [types] JMAP data types to receive. Absent or null: all.
 * @property {readonly string[] | null} [accounts] Accounts to receive. Absent or null: all of the connection.
 * @property {(changed: Changed) => void} onChange Called once per push that names a change of these types and accounts.
 * @property {(status: Status) => void} [onStatus] Called with each new status.
 * @property {string | null} [cursor] Where to resume, from an earlier `onCursor`, if this page is the first.
 * @property {(cursor: string) => void} [onCursor] Called after `onChange` with every new cursor.
 */

/**
 * What a connection says of itself, until it is closed: that the server said something over it, a StateChange, that the server refused
 * it, or that it is gone, with a close code and how long the server asks to stay away.
 * @typedef {object} Events
 * @property {() => void} heard
 * @property {(message: {changed?: Changed, pushState?: string}) => void} told
 * @property {(stalled: boolean) => void} stalled whether changes reach the server
 * @property {(error: string, httpStatus?: number) => void} refused
 * @property {(code: number, pauseMs?: number) => void} lost
 */

/**
 * A connection of one of the transports. `ask` makes the server say something, and returns false where it cannot be asked
 * yet. Without `ask`, `quietMs` of silence tell.
 * @typedef {{close: () => void, ask?: () => boolean, quietMs?: number | undefined}} Connection
 * @typedef {Connection & {rung: number, url: URL, heard: boolean, resuming: boolean, stalled: boolean}} Link
 */

export {};
