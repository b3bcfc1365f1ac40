/**
 * Sends the changes on standard input to a publisher: `node example.mjs <changes`. Each line is
 *
 *     ACCOUNT EVENT [STATES]        alice MessageNew {"Email": "s1042", "Mailbox": "s77"}
 *
 * If the publisher refuses a change, the program reports it and goes on. The exit code is then 1.
 */
import { createInterface } from "node:readline";

import { Refused, Tidings } from "./tidings.mjs";

function giveUp(error) {
  console.error(error.message);
  process.exit(2);
}

let tidings;
try {
  tidings = new Tidings(process.env.TIDINGS_INGEST_URL, process.env.TIDINGS_INGEST_TOKEN);
} catch (error) {
  giveUp(error);
}
for await (const line of createInterface({ input: process.stdin })) {
  const parts = line.match(/^(\S+) (\S+) ?(.*)$/);
  if (!parts) giveUp(new SyntaxError(`not ACCOUNT EVENT [STATES]: ${line}`));
  const [, account, event, states] = parts;
  try {
    await tidings.tell(account, event, states ? JSON.parse(states) : undefined);
  } catch (error) {
    if (!(error instanceof Refused)) giveUp(error);
    console.error(`refused: ${account} ${event}: ${error.message}`);
    process.exitCode = 1;
  }
}
