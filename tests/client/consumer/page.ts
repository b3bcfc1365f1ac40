/** A page of somebody else, in the strictest TypeScript; what is wrong has to be an error. */
import { backoff, SharedClient, TidingsClient, type Changed, type SharedOptions, type Status, type Transport } from "tidings-client";

const seen: Changed[] = [];

const client = new TidingsClient({
  url: async () => new URL("https://mail.example/jmap/ws"),
  types: ["Email", "Mailbox"] as const,
  onChange: (changed) => seen.push(changed),
  onStatus: show,
  cursor: sessionStorage.getItem("cursor"),
  onCursor: (cursor: string) => sessionStorage.setItem("cursor", cursor),
});

function show(status: Status): string {
  switch (status.state) {
    case "connecting":
      return status.transport satisfies Transport;
    case "connected":
      return status.resumed ? "nothing was missed" : status.stalled === true ? "deaf" : "fetch";
    case "waiting":
      return `${status.retryInMs + status.code}`;
    case "stopped":
      return status.error ?? String(status.httpStatus?.toFixed());
    default:
      return status satisfies never;
  }
}

const options: SharedOptions = {
  url: ({ accounts, types }) => `/jmap/ws?accounts=${accounts?.join() ?? ""}&${types?.length ?? 0}`,
  name: "alice",
  accounts: ["alice"],
  onChange: (changed) => {
    const state: string | undefined = changed["alice"]?.["Email"];
    void state;
  },
};
const shared = new SharedClient(options);
const cursor: string | null = shared.cursor ?? client.cursor;
const leads: boolean = shared.leads;
const pause: number = backoff(3, () => 0.5);
shared.retry();
client.stop();
void [cursor, leads, pause];

// @ts-expect-error without onChange nobody hears
new TidingsClient({ url: "/jmap/ws" });
// @ts-expect-error status is read
client.status = { state: "stopped" };
// @ts-expect-error there is no such state
const wrong: Status = { state: "gone" };
void wrong;
// @ts-expect-error TidingsClient has what the URL gives
new TidingsClient({ url: "/jmap/ws", accounts: ["alice"], onChange: () => {} });
