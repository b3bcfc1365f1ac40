/** How long everything takes, and how it is spread. Nothing here acts. */

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

/** Pages that share a connection hear of the one that has it at least this often; after that it is asked. */
export const ALIVE_MS = 10_000;
/** How long it may take to answer, before it is asked again or replaced. */
export const ANSWER_MS = 5_000;

/**
 * How long to wait before an attempt: exponential backoff with full jitter. So the clients of a crashed server do not all
 * come back at once.
 *
 * @param {number} failures failed attempts in a row so far
 * @param {() => number} [random] in [0, 1)
 * @returns {number} milliseconds
 */
export function backoff(failures, random = Math.random) {
  return random() * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** failures);
}

/**
 * How long to use a lesser transport before the better ones are tried again. The time is random, so that not all clients
 * try at once when a block ends.
 *
 * @param {number} tried number of failed trials so far
 * @param {() => number} [random] in [0, 1)
 * @returns {number} milliseconds
 */
export function betterIn(tried, random = Math.random) {
  return Math.min(BETTER_CAP_MS, BETTER_MS * 2 ** tried) * (1 - random() / 2);
}
