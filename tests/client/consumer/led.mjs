/** Prints what a client is told whose url is what a session says, as the package's README shows it. */
import { SharedClient, TidingsClient } from "tidings-client";

const [name, session, anywhere] = process.argv.slice(2);
const print = (value) => console.log(JSON.stringify(value));
new { TidingsClient, SharedClient }[name]({
  url: async () => {
    const found = await fetch(session).then((response) => response.json()).catch(() => null);
    return found?.capabilities?.["urn:ietf:params:jmap:websocket"]?.url ?? anywhere;
  },
  onStatus: (status) => print({ status }),
  onChange: (changed) => print({ changed }),
});
