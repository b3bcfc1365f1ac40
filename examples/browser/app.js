/** A plain page that shows changes without polling. All tabs share one connection. */

import { SharedClient } from "tidings-client";

const status = /** @type {HTMLElement} */ (document.getElementById("status"));
const fetched = /** @type {HTMLElement} */ (document.getElementById("fetched"));

const client = new SharedClient({
  url: async () => `/jmap/ws?${new URLSearchParams({ access_token: await token() })}`,
  types: ["Email", "Mailbox"],
  onChange: (changed) => refetch(JSON.stringify(changed)),
  onStatus: (now) => {
    status.textContent = now.state === "stopped" ? `stopped: ${now.error ?? "logged out"}` : now.state;
    // Changes before this status are unknown, so the page may show old data.
    if (now.state === "connected" && !now.resumed) refetch("everything");
  },
});

/**
 * A token for the gateway, from the mail server. The mail server knows the user from the session's cookie. The client calls
 * this function before each attempt to connect. When a token expires, the gateway closes the connection (code 1008). The
 * client is back within a second with the next token, and misses nothing.
 */
async function token() {
  const response = await fetch("/token", { method: "POST" });
  if (response.status === 401) {
    // The session has ended. Another attempt would fail too.
    client.stop();
  }
  if (!response.ok) throw new Error(`no token: HTTP status ${response.status}`);
  return (await response.json()).token;
}

/** A webmail fetches its list from its server here. @param {string} what */
function refetch(what) {
  fetched.append(Object.assign(document.createElement("li"), { textContent: what }));
}
