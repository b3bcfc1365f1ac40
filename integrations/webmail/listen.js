/** The common part of the drop-ins for SOGo, SnappyMail and Cypht: when to ask for a token, and when to refresh. */

import { Refresher } from "./refresher.js";
import { SharedClient } from "./tidings.js";

/**
 * Listens for changes of the logged-in user's mail, at `/jmap/ws` of this origin. All tabs of a user share the connection.
 *
 * @param {object} webmail
 * @param {string} webmail.user - the user
 * @param {() => Promise<unknown>} webmail.token - asks the webmail's server to set the cookie that the gateway reads.
 *   If the promise is rejected, the function is called again later. The gateway refuses a user without a token, and the
 *   client then stops.
 * @param {() => unknown} webmail.refresh - fetches the shown data. The listener waits for a returned promise.
 * @returns {SharedClient}
 */
export function listen({ user, token, refresh }) {
  const refresher = new Refresher(async (done) => {
    try {
      await refresh();
      done(true);
    } catch (error) {
      done(false);
      reportError(error);
    }
  });
  return new SharedClient({
    name: `webmail ${user}`,
    types: ["Email", "Mailbox"],
    url: async () => {
      await token();
      return "/jmap/ws";
    },
    onChange: () => refresher.changed(),
    onStatus: (status) => {
      if (status.state === "connected" && !status.resumed) refresher.changed();
    },
  });
}
