/**
 * Tells a Tidings publisher what changed in the mail of an account. Copy this file. It needs only Node 18.
 *
 *     const tidings = new Tidings(process.env.TIDINGS_INGEST_URL, process.env.TIDINGS_INGEST_TOKEN);
 *     await tidings.tell("alice", "MessageNew", { Email: "s1042", Mailbox: null });
 *
 * `tell` is fulfilled when the publisher has accepted the change, and rejected with `Refused` when the publisher refuses it
 * for good. Until then, `tell` repeats the same event, also while the publisher is away. Changes are sent one after
 * another, in the order of the calls, awaited or not, so the changes of an account keep their order. At most 10,000 changes
 * wait. Another one is rejected with `Full`. If the process ends, waiting changes are lost. Several processes have no order
 * among each other.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

const SOURCE = "/tidings-node";
const TIMEOUT_MS = 10_000;
const LONGEST_PAUSE_MS = 5_000;
const LONGEST_WAIT_SECONDS = 60;
const MOST_WAITING = 10_000;
// From the publisher, or from a proxy in front of it. 0: no answer.
const TRY_AGAIN = new Set([0, 408, 429, 502, 503, 504]);

/** The publisher refused a change for good. The message has its status and its reasons. */
export class Refused extends Error {}

/** Too many changes wait for the publisher, so this change was not sent. */
export class Full extends Error {}

export class Tidings {
  #url;
  #headers = new Headers({ "Content-Type": "application/cloudevents+json" });
  #last = Promise.resolve();
  #waiting = 0;

  /** An empty token means no token. */
  constructor(url, token) {
    const base = url || "http://127.0.0.1:8081";
    if (!/^https?:\/\/[^/]/.test(base)) throw new TypeError(`${base} is not the http or https URL of a publisher`);
    this.#url = new URL(`${base.replace(/\/+$/, "")}/v1/changes`);
    if (/[^!-~]/.test(token ?? "")) throw new TypeError("the token has a character that tokens may not have");
    if (token) this.#headers.set("Authorization", `Bearer ${token}`);
  }

  /** Sends an RFC 5423 event, with the new states by JMAP data type if there are states. */
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

  /** Sends the same bytes until the publisher answers for them, so the event keeps its id. */
  async #repeat(body) {
    for (let bound = 250; ; bound = Math.min(2 * bound, LONGEST_PAUSE_MS)) {
      const { status, wait, reason } = await this.#post(body);
      if (status === 202) return;
      if (!TRY_AGAIN.has(status)) throw new Refused(`${status} ${reason}`);
      // The pause is random, so that not all senders come at once when a publisher is back.
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
        // Do not follow redirections: they would turn the POST into a GET.
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
