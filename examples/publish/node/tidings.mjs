/**
 * Tells a Tidings publisher what changed in the mail of an account. Copy this file: it needs nothing but Node 18.
 *
 *     const tidings = new Tidings(process.env.TIDINGS_INGEST_URL, process.env.TIDINGS_INGEST_TOKEN);
 *     await tidings.tell("alice", "MessageNew", { Email: "s1042", Mailbox: null });
 *
 * `tell` is fulfilled when the publisher answers for the change, and rejected with `Refused` when the publisher will never
 * take it. Until one of both it repeats the same event, also while the publisher is away. Changes are told one after
 * another, in the order of the calls, awaited or not, so those of one account keep their order. At most 10,000 wait;
 * another one is rejected with `Full`. What waits is lost with the process. Several processes have no order among each
 * other.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

const SOURCE = "/tidings-node";
const TIMEOUT_MS = 10_000;
const LONGEST_PAUSE_MS = 5_000;
const LONGEST_WAIT_SECONDS = 60;
const MOST_WAITING = 10_000;
// Of the publisher, or of a proxy in front of it. 0: no answer.
const TRY_AGAIN = new Set([0, 408, 429, 502, 503, 504]);

/** The publisher will not take a change, however often it is told. The message has its status and its reasons. */
export class Refused extends Error {}

/** Too many changes wait for the publisher: the change was not told. */
export class Full extends Error {}

export class Tidings {
  #url;
  #headers = new Headers({ "Content-Type": "application/cloudevents+json" });
  #last = Promise.resolve();
  #waiting = 0;

  /** An empty token is none. */
  constructor(url, token) {
    const base = url || "http://127.0.0.1:8081";
    if (!/^https?:\/\/[^/]/.test(base)) throw new TypeError(`${base} is not the http or https URL of a publisher`);
    this.#url = new URL(`${base.replace(/\/+$/, "")}/v1/changes`);
    if (/[^!-~]/.test(token ?? "")) throw new TypeError("the token has a character that no token has");
    if (token) this.#headers.set("Authorization", `Bearer ${token}`);
  }

  /** Tell of an RFC 5423 event, and of the new states by JMAP data type where there are states. */
  async tell(account, event, changed) {
    if (this.#waiting >= MOST_WAITING) throw new Full(`${MOST_WAITING} changes wait for the publisher`);
    const body = JSON.stringify({
      specversion: "1.0",
      id: randomUUID(),
      source: SOURCE,
      type: `mail.${event}`,
      subject: account,
      time: new Date().toISOString(),
      data: changed && { changed },
    });
    const told = this.#last.then(() => this.#repeat(body));
    // Whoever called hears of a refusal; the next change is told all the same.
    this.#last = told.catch(() => {});
    this.#waiting += 1;
    try {
      await told;
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Send until it is answered for: always the same bytes, so the event has the same id each time. */
  async #repeat(body) {
    for (let bound = 250; ; bound = Math.min(2 * bound, LONGEST_PAUSE_MS)) {
      const { status, wait, reason } = await this.#post(body);
      if (status === 202) return;
      if (!TRY_AGAIN.has(status)) throw new Refused(`${status} ${reason}`);
      // A random pause: publishers that come back are not met by everybody at once.
      const ms = wait * 1000 + Math.random() * bound;
      console.error(`not taken, told again in ${(ms / 1000).toFixed(1)} s: ${status} ${reason}`);
      await pause(ms);
    }
  }

  async #post(body) {
    try {
      const answer = await fetch(this.#url, {
        method: "POST",
        headers: this.#headers,
        body,
        // A redirection is refused. Followed, it would make a GET of the POST.
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const wait = Math.min(Number.parseInt(answer.headers.get("Retry-After"), 10) || 0, LONGEST_WAIT_SECONDS);
      return { status: answer.status, wait: Math.max(0, wait), reason: (await answer.text()).slice(0, 4096) };
    } catch (error) {
      return { status: 0, wait: 0, reason: String(error.cause ?? error) };
    }
  }
}
