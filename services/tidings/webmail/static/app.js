/** The page: fetches the list once, and again whenever it is told that something changed. It never polls. */

import { TidingsClient } from "/client/tidings.js";

import { Api, ApiError, openSession } from "./api.js";
import { InboxView } from "./inbox.js";
import { ConnectionView, PanelView } from "./panel.js";
import { ReaderView } from "./reader.js";
import { Refresher } from "./refresher.js";

const TYPES = ["Email", "Mailbox", "Thread"];

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

class App {
  #account;
  #api;
  #refresher = new Refresher(() => this.#fetch(), (error) => this.#fetchFailed(error));
  #inbox = new InboxView(byId("messages"), (id) => this.#open(id));
  #reader = new ReaderView();
  #panel = new PanelView(byId("pushes"), byId("polls"), byId("latency"));
  #connection = new ConnectionView(byId("connection"));
  /** @type {Map<string, import("./api.js").Listed> | null} the list on the screen, by id */
  #shown = null;
  /** @type {string | null} the open mail */
  #current = null;
  /** Whether the notice says that the list could not be fetched. */
  #stale = false;
  /** @type {number | null} when the oldest push came that no fetch has followed yet */
  #pushedAt = null;

  /** @param {import("./api.js").Session} session */
  constructor({ account, accounts, pushUrl }) {
    this.#account = account;
    this.#api = new Api(account);
    this.#offerAccounts(accounts);
    this.#listen();
    this.#refresher.request();
    new TidingsClient({
      url: pushUrl,
      types: TYPES,
      onChange: () => {
        this.#panel.countPush();
        this.#pushedAt ??= performance.now();
        this.#refresher.request();
      },
      onStatus: (status) => {
        this.#connection.show(status);
        if (status.state === "connected" && !status.resumed) this.#refresher.request();
      },
    });
  }

  async #fetch() {
    const pushedAt = this.#pushedAt;
    this.#pushedAt = null;
    const askedAt = performance.now();
    const inbox = await this.#api.inbox();
    const known = this.#shown;
    this.#shown = new Map(inbox.messages.map((message) => [message.id, message]));
    this.#inbox.show(inbox.messages, this.#current);
    byId("count").textContent = `${inbox.unread} unread of ${inbox.total}`;
    byId("empty").hidden = inbox.total > 0;
    if (this.#stale) byId("notice").hidden = true;
    this.#stale = false;
    document.title = `${inbox.unread > 0 ? `(${inbox.unread}) ` : ""}${this.#account} – Tidings`;
    const open = this.#current === null ? undefined : this.#shown.get(this.#current);
    if (open) this.#reader.flag(open.unread);
    else if (this.#current !== null && inbox.total <= inbox.messages.length) this.#close();
    if (known !== null) requestAnimationFrame(() => this.#measure(inbox, known, pushedAt, askedAt));
  }

  /**
   * How long a change took to the screen. Where the list says when the change was stored, that is the storage's clock
   * up to the answer, and this browser's clock from the question on: the time of the question counts twice, so that
   * the sum is never too small, and the two clocks need not agree. A deletion leaves no time: counted from its push.
   *
   * @param {import("./api.js").Inbox} inbox
   * @param {Map<string, import("./api.js").Listed>} known what was on the screen before
   * @param {number | null} pushedAt
   * @param {number} askedAt
   */
  #measure({ now, messages }, known, pushedAt, askedAt) {
    const shownAt = performance.now();
    const stored = messages
      .filter(({ id, touched }) => touched !== known.get(id)?.touched)
      .reduce((latest, { touched }) => Math.max(latest, touched), 0);
    if (stored > 0) this.#panel.showLatency((now - stored) * 1000 + shownAt - askedAt, "it was stored");
    else if (pushedAt !== null && messages.length < known.size) this.#panel.showLatency(shownAt - pushedAt, "the push");
  }

  /** @param {unknown} error @returns {boolean} whether asking again may help */
  #fetchFailed(error) {
    if (!(error instanceof ApiError)) throw error;
    const passing = error.status === 0 || error.status >= 500;
    this.#stale = true;
    this.#notice(`The mail cannot be shown: ${error.message}.`);
    return passing;
  }

  /** @param {string} id */
  async #open(id) {
    this.#current = id;
    this.#inbox.mark(id);
    await this.#act(async () => {
      const message = await this.#api.read(id);
      if (this.#current !== id) return;
      this.#reader.show(message, this.#api.htmlUrl(id));
      this.#reader.flag(false);
      if (message.unread) await this.#api.flag(id, false);
    });
  }

  #close() {
    this.#current = null;
    this.#inbox.mark(null);
    this.#reader.close();
  }

  #listen() {
    byId("back").addEventListener("click", () => this.#close());
    byId("unread").addEventListener("click", () => {
      const id = this.#current;
      if (id !== null) this.#act(() => this.#api.flag(id, !this.#shown?.get(id)?.unread));
    });
    byId("delete").addEventListener("click", () => {
      const id = this.#current;
      if (id === null) return;
      this.#close();
      this.#act(() => this.#api.delete(id));
    });
    const composer = byId("composer");
    const draft = byId("draft");
    byId("compose").addEventListener("click", () => {
      draft.elements.to.value ||= this.#account;
      byId("draft-fault").hidden = true;
      composer.showModal();
    });
    byId("cancel").addEventListener("click", () => composer.close());
    draft.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      this.#send(composer, draft);
    });
  }

  /** @param {HTMLDialogElement} composer @param {HTMLFormElement} draft */
  async #send(composer, draft) {
    const { to, subject, text } = Object.fromEntries(new FormData(draft));
    try {
      await this.#api.send({ to: String(to).trim(), subject: String(subject), text: String(text) });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      byId("draft-fault").textContent = error.message;
      byId("draft-fault").hidden = false;
      return;
    }
    draft.reset();
    composer.close();
    this.#refresher.request();
  }

  /** Does something to a mail, and says so when it did not work. @param {() => Promise<unknown>} action */
  async #act(action) {
    byId("notice").hidden = true;
    try {
      await action();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#notice(`That did not work: ${error.message}.`);
    }
    // The push for it comes as for everybody's changes; without a connection this is how the page learns of it.
    this.#refresher.request();
  }

  /** @param {string[]} accounts */
  #offerAccounts(accounts) {
    const select = byId("accounts");
    const names = accounts.includes(this.#account) ? accounts : [this.#account, ...accounts];
    select.replaceChildren(...names.map((name) => new Option(name, name, false, name === this.#account)));
    select.closest("label").hidden = false;
    select.addEventListener("change", () => {
      location.search = `?account=${encodeURIComponent(select.value)}`;
    });
  }

  /** @param {string} text */
  #notice(text) {
    byId("notice").textContent = text;
    byId("notice").hidden = false;
  }
}

try {
  new App(await openSession(new URLSearchParams(location.search).get("account")));
} catch (error) {
  byId("notice").textContent = error instanceof ApiError ? `No mail: ${error.message}.` : "This page is broken.";
  byId("notice").hidden = false;
  byId("connection").textContent = "Not connected";
  byId("connection").dataset.state = "stopped";
  if (!(error instanceof ApiError)) throw error;
}
