/** The three ways to be told, each from opening to closing. What is told goes to `Events`; nothing is decided here. */

import { readEvents } from "./events.js";
import { beside, BROKEN, entityTag, get, pause, reject, RESTART } from "./http.js";
import { PING_S, POLL_GAP_MS, PROBE_MS, WAIT_S } from "./timing.js";

/** @import { Connection, Events, Transport } from "./types.js" */

const PROBE_ID = "tidings-probe";
const PROBE = JSON.stringify({
  "@type": "Request",
  id: PROBE_ID,
  using: ["urn:ietf:params:jmap:core"],
  methodCalls: [["Core/echo", {}, "0"]],
});

/**
 * @callback Open
 * @param {URL} url of the WebSocket, whichever transport it is
 * @param {readonly string[] | null} types
 * @param {string | null} cursor
 * @param {Events} events
 * @returns {Connection}
 */

/**
 * The transports, the best first. `quietMs` is how long one that is well may be silent, where it cannot be asked.
 * @type {{name: Transport, quietMs?: number, open: Open}[]}
 */
export const TRANSPORTS = [
  { name: "websocket", open: openWebSocket },
  { name: "eventsource", open: openEventStream, quietMs: PING_S * 1_000 + PROBE_MS },
  { name: "poll", open: openPolls, quietMs: WAIT_S * 1_000 + PROBE_MS },
];

/** @type {Open} */
function openWebSocket(url, types, cursor, { heard, told, stalled, refused, lost }) {
  const found = new URL(url);
  found.protocol = found.protocol.replace(/^http/, "ws");
  const socket = new WebSocket(found, "jmap");
  socket.onopen = () => {
    socket.send(JSON.stringify({
      "@type": "WebSocketPushEnable",
      dataTypes: types,
      pushStatus: true,
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
    else if (message?.["@type"] === "PushStatus") stalled(message.stalled === true);
    else if (message?.["@type"] === "RequestError" && message.requestId !== PROBE_ID) {
      refused(String(message.detail ?? message.type));
    }
  };
  socket.onclose = ({ code }) => lost(code);
  const ask = () => {
    if (socket.readyState !== WebSocket.OPEN) return false;
    socket.send(PROBE);
    return true;
  };
  return { close: () => socket.close(), ask };
}

/** @type {Open} */
function openEventStream(url, types, cursor, { heard, told, stalled, refused, lost }) {
  const closing = new AbortController();
  const read = async () => {
    const headers = cursor === null ? undefined : { "Last-Event-ID": cursor };
    const response = await get(beside(url, "eventsource", types, { ping: PING_S, status: "yes" }), closing.signal, headers);
    if (response.status !== 200) return reject(response, refused, lost);
    if (!response.body || !/^text\/event-stream\b/.test(response.headers.get("Content-Type") ?? "")) return lost(BROKEN);
    let pauseMs;
    for await (const { event, id, data, retry } of readEvents(response.body)) {
      heard();
      if (retry !== undefined) pauseMs = pause(Number(retry));
      if (event === "status") stalled(JSON.parse(data).stalled === true);
      if (id !== undefined) told({ changed: event === "state" ? JSON.parse(data).changed : {}, pushState: id });
    }
    lost(pauseMs === undefined ? BROKEN : RESTART, pauseMs);
  };
  read().catch(() => lost(BROKEN));
  return { close: () => closing.abort() };
}

/** @type {Open} */
function openPolls(url, types, cursor, { told, refused, lost }) {
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
