// Prints what npm's jmap-jam is told of, one JSON object a line: node receive.mjs SESSION_URL TOKEN OPTIONS
import { EventSource } from "eventsource";
import { JamClient } from "jmap-jam";

// jmap-jam takes the browser's, which Node has not.
globalThis.EventSource = EventSource;

const [sessionUrl, bearerToken, options] = process.argv.slice(2);
const source = await new JamClient({ sessionUrl, bearerToken }).connectEventSource(JSON.parse(options));
const print = ({ type, lastEventId, data }) => {
  console.log(JSON.stringify({ type, id: lastEventId, data: JSON.parse(data) }));
};
source.addEventListener("state", print);
source.addEventListener("ping", print);
