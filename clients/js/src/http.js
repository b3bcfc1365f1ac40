/** The requests that are not WebSockets. */

import { PAUSE_CAP_MS } from "./timing.js";

/** @import { Events } from "./types.js" */

/** Statuses of answers that asking again would not mend: what is asked for is wrong, or it is nothing for this client. */
export const REFUSALS = [400, 401, 403];
/** Close codes of RFC 6455 section 7.4: the connection just broke; the service restarts; try again later. */
export const BROKEN = 1006;
export const RESTART = 1012;
export const LATER = 1013;

/**
 * Whether the server answers, or would not have this client: asked with a poll that does not wait.
 * @param {URL} url
 * @param {AbortSignal} signal
 */
export async function probe(url, signal) {
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
export async function reject(response, refused, lost) {
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
export function get(url, signal, headers) {
  return fetch(url, { signal, ...(headers && { headers }), cache: "no-store", credentials: "include" });
}

/**
 * @param {URL} url of the WebSocket
 * @param {string} name of its neighbour
 * @param {readonly string[] | null} types
 * @param {Record<string, string | number>} query
 */
export function beside(url, name, types, query) {
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
export function entityTag(response) {
  return /"(.*)"/.exec(response.headers.get("ETag") ?? "")?.[1];
}

/** @param {Response} response */
function retryAfter(response) {
  return pause(Number(response.headers.get("Retry-After") ?? 0) * 1_000);
}

/** @param {number} milliseconds as somebody else says @returns {number} such that a timer can take it */
export function pause(milliseconds) {
  return Number.isFinite(milliseconds) ? Math.min(Math.max(milliseconds, 0), PAUSE_CAP_MS) : 0;
}
