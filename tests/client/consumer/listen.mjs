/** Prints what a client is told, until it has been told of a change of the type End. */
import { SharedClient, TidingsClient } from "tidings-client";

const [name, url] = globalThis.Deno ? globalThis.Deno.args : process.argv.slice(2);
const print = (value) => console.log(JSON.stringify(value));
const client = new { TidingsClient, SharedClient }[name]({
  url,
  onStatus: (status) => print({ status }),
  onChange: (changed) => {
    print({ changed });
    if (Object.values(changed).some((states) => "End" in states)) client.stop();
  },
});
