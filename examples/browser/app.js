/** A plain page that shows what is new without polling. All tabs share one connection. */

import { SharedClient } from "tidings-client";

const status = /** @type {HTMLElement} */ (document.getElementById("status"));
const fetched = /** @type {HTMLElement} */ (document.getElementById("fetched"));

const client = new SharedClient({
  url: async () => `/jmap/ws?${new URLSearchParams({ access_token: await token() })}`,
  types: ["Email", "Mailbox"],
  onChange: (changed) => refetch(JSON.stringify(changed)),
  onStatus: (now) => {
    status.textContent = now.state === "stopped" ? `stopped: ${now.error ?? "logged out"}` : now.state;
    // Before this nobody listened: whatever is shown may be old.
    if (now.state === "connected" && !now.resumed) refetch("everything");
  },
});

/**
 * A token for the gateway, from the mail server, which knows the user by the session's cookie. It is asked for before each
 * attempt to connect. When a token expires, the gateway closes the connection (code 1008): the client comes back within a
 * second with the next token, and misses nothing.
 */
async function token() {
  const response = await fetch("/token", { method: "POST" });
  if (response.status === 401) {
    // The session is over, and no attempt will change that.
    client.stop();
  }
  if (!response.ok) throw new Error(`no token: HTTP status ${response.status}`);
  return (await response.json()).token;
}

/** @param {string} what Here a webmail asks its server for what it shows. */
function refetch(what) {
  fetched.append(Object.assign(document.createElement("li"), { textContent: what }));
}
