/** What the drop-ins for SOGo, SnappyMail and Cypht have in common: when to ask for a token, and when to refresh. */

import { Refresher } from "./refresher.js";
import { SharedClient } from "./tidings.js";

/**
 * Listens for the mail of whoever is logged in, at `/jmap/ws` of this origin. All tabs of a user share the connection.
 *
 * @param {object} webmail
 * @param {string} webmail.user - whose mail it is
 * @param {() => Promise<unknown>} webmail.token - has the webmail's server set the cookie that the gateway reads.
 *   When it rejects, it is asked again later. A user without a token is not let in, and the client stops.
 * @param {() => unknown} webmail.refresh - fetches what is shown; a promise is waited for
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
