// Prints what an event stream client of npm is told of, one JSON object a line: node listen.mjs CLIENT URL TOKEN
import fetchEventSource from "@microsoft/fetch-event-source";
import polyfill from "event-source-polyfill";
import { EventSource } from "eventsource";
import launchdarkly from "launchdarkly-eventsource";
import * as undici from "undici";

const [client, url, token] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const withToken = `${url}&access_token=${token}`;
const print = (type, data) => console.log(JSON.stringify({ type, data: data && JSON.parse(data) }));

const listened = {
  eventsource: () =>
    new EventSource(url, { fetch: (asked, given) => fetch(asked, { ...given, headers: { ...given.headers, ...headers } }) }),
  undici: () => new undici.EventSource(withToken),
  polyfill: () => new polyfill.EventSourcePolyfill(url, { headers }),
  // As where no header may be set: the last event's id goes into the URL.
  "polyfill-query": () => new polyfill.EventSourcePolyfill(withToken),
  launchdarkly: () => new launchdarkly.EventSource(url, { headers, initialRetryDelayMillis: 200 }),
};

if (client === "fetch-event-source") {
  // It is made for pages.
  globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
  globalThis.window = globalThis;
  fetchEventSource.fetchEventSource(url, {
    headers,
    openWhenHidden: true,
    fetch,
    onopen: async () => print("open"),
    // One function for all events, and for comments, which have no data: what changed is in the data.
    onmessage: ({ data }) => data && print("message", data),
    onclose: () => { throw new Error("closed"); },
    onerror: () => 200,
  });
} else {
  const source = listened[client]();
  source.addEventListener("open", () => print("open"));
  source.addEventListener("state", ({ data }) => print("state", data));
  source.addEventListener("message", ({ data }) => print("message", data));
  source.addEventListener("error", () => {});
}

// Not every client that waits to connect again keeps Node from ending.
setInterval(() => {}, 60_000);
