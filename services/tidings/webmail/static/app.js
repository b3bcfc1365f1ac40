/** The page: fetches the list once, and again whenever it is told that something changed. It never polls. */

import { SharedClient } from "/client/tidings.js";

import { Api, ApiError, openSession } from "./api.js";
import { Changes } from "./changes.js";
import { ComposerView } from "./composer.js";
import { InboxView } from "./inbox.js";
import { command } from "./keys.js";
import { Notifier } from "./notifier.js";
import { ConnectionView, PanelView } from "./panel.js";
import { ReaderView } from "./reader.js";
import { Refresher } from "./refresher.js";

const TYPES = ["Email", "Mailbox", "Thread"];

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);
/** @param {string[]} ids @returns {any} these elements, by their ids */
const parts = (...ids) => Object.fromEntries(ids.map((id) => [id, byId(id)]));

class App {
  #account;
  #api;
  #refresher = new Refresher(() => this.#fetch(), (error) => this.#fetchFailed(error));
  #inbox = new InboxView(byId("messages"), (id) => this.#open(id));
  #reader = new ReaderView();
  #panel = new PanelView(parts("pushes", "fetches", "polls", "latency", "average", "lateness", "every"));
  #connection = new ConnectionView(byId("connection"));
  #composer;
  #notifier;
  /** @type {SharedClient | null} */
  #client = null;
  /** What is new on the screen. */
  #changes = new Changes();
  /** What is new in the inbox, whichever page of it is on the screen. */
  #news = new Changes();
  /** @type {string | null} the open mail */
  #current = null;
  /** @type {number[]} which of the mails attached to it is open: none, or the parts that lead there */
  #path = [];
  /** Whether there has been a list: what is asked for from then on is counted. */
  #fetched = false;
  /** How many newer mails come before those on the screen. */
  #offset = 0;
  /** How many mails are a page. */
  #limit = 0;
  /** @type {"next" | "previous" | null} which page is on its way, for the focus */
  #paging = null;
  /** Whether the notice says that the list could not be fetched. */
  #stale = false;
  /** @type {number | null} when the oldest push came that no fetch has followed yet */
  #pushedAt = null;

  /** @param {import("./api.js").Session} session */
  constructor({ account, accounts, pushUrl }) {
    this.#account = account;
    this.#api = new Api(account);
    this.#composer = new ComposerView(
      { dialog: byId("composer"), form: byId("draft"), fault: byId("draft-fault") },
      (draft) => this.#send(draft),
    );
    this.#notifier = new Notifier(byId("notify"), account, {
      leads: () => this.#client?.leads ?? false,
      open: (id) => this.#open(id),
      chosen: () => {
        this.#news.restart();
        this.#refresher.request();
      },
      tell: (text) => this.#notice(text),
    });
    this.#offerAccounts(accounts);
    this.#listen();
    this.#refresher.request();
    this.#client = new SharedClient({
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
    const [offset, current] = [this.#offset, this.#current];
    const inbox = await this.#list(offset, current);
    // Another page is wanted by now, and asked for next.
    if (offset !== this.#offset) return;
    this.#inbox.show(inbox.messages, this.#current);
    this.#showCounts(inbox);
    if (this.#stale) byId("notice").hidden = true;
    this.#stale = false;
    document.title = `${inbox.unread > 0 ? `(${inbox.unread}) ` : ""}${this.#account} – Tidings`;
    // Another one may have been opened since this was asked.
    if (current !== null && current === this.#current) {
      if (inbox.open) this.#reader.flag(inbox.open.unread);
      else this.#close();
    }
    const changes = this.#changes.next(inbox.messages);
    const measure = () => this.#measure(inbox.now, changes, pushedAt, askedAt);
    // Browsers paint nothing of a page that is hidden.
    if (document.hidden) measure();
    else requestAnimationFrame(measure);
    if (offset > 0 && !this.#notifier.on) return;
    const { messages } = offset === 0 ? inbox : await this.#list(0, null);
    this.#notifier.arrived(this.#news.next(messages).added);
  }

  /** @param {number} offset @param {string | null} open */
  async #list(offset, open) {
    if (this.#fetched) this.#panel.countFetch();
    const inbox = await this.#api.inbox(offset, open);
    this.#fetched = true;
    return inbox;
  }

  /**
   * How long changes took to the screen. Where the list says when a change was stored, that is the storage's clock
   * up to the answer, and this browser's clock from the question on: the time of the question counts twice, so that
   * the sum is never too small, and the two clocks need not agree. A deletion leaves no time: counted from its push.
   *
   * @param {number} now the storage's clock when it answered
   * @param {ReturnType<Changes["next"]>} changes
   * @param {number | null} pushedAt
   * @param {number} askedAt
   */
  #measure(now, { changed, fewer }, pushedAt, askedAt) {
    const shownAt = performance.now();
    if (changed.length > 0) {
      this.#panel.showDelays(changed.map(({ touched }) => (now - touched) * 1000 + shownAt - askedAt));
    } else if (fewer && pushedAt !== null) this.#panel.showSincePush(shownAt - pushedAt);
  }

  /** @param {unknown} error @returns {boolean} whether asking again may help */
  #fetchFailed(error) {
    if (!(error instanceof ApiError)) throw error;
    const passing = error.status === 0 || error.status >= 500;
    this.#stale = true;
    this.#notice(`The mail cannot be shown: ${error.message}.`);
    return passing;
  }

  /** @param {import("./api.js").Inbox} inbox */
  #showCounts({ total, unread, left_out: leftOut, offset, limit, messages }) {
    this.#offset = offset;
    this.#limit = limit;
    byId("count").textContent = `${unread} unread of ${total}`;
    byId("empty").hidden = total > 0;
    byId("left-out").hidden = leftOut === 0;
    byId("left-out").textContent = leftOut === 1
      ? "One entry of this mailbox is not a file and is not shown."
      : `${leftOut} entries of this mailbox are not files and are not shown.`;
    byId("pages").hidden = total <= limit;
    const last = messages.length > 1 ? `–${offset + messages.length}` : "";
    byId("range").textContent = `${offset + 1}${last} of ${total}`;
    byId("newer").disabled = offset === 0;
    byId("older").disabled = offset + limit >= total;
    if (this.#paging === null) return;
    // What was pressed may not be there any more.
    const first = this.#paging === "next" ? messages[0] : messages.at(-1);
    this.#paging = null;
    if (first) this.#inbox.focus(first.id);
  }

  /** Goes to another page of the inbox. @param {"next" | "previous"} where */
  #turn(where) {
    const button = byId(where === "next" ? "older" : "newer");
    if (button.disabled || byId("pages").hidden) return;
    this.#offset = Math.max(0, this.#offset + (where === "next" ? this.#limit : -this.#limit));
    this.#paging = where;
    this.#changes.restart();
    this.#refresher.request();
  }

  /**
   * @param {string} id
   * @param {number[]} [path] to a mail that is attached to it
   */
  async #open(id, path = []) {
    this.#current = id;
    this.#path = path;
    this.#inbox.mark(id);
    await this.#act(async () => {
      const message = await this.#api.read(id, path);
      if (this.#current !== id || this.#path !== path) return;
      const links = {
        html: (/** @type {number} */ part) => this.#api.htmlUrl(id, [...path, part]),
        file: (/** @type {number} */ part) => this.#api.attachmentUrl(id, [...path, part]),
        open: (/** @type {number} */ part) => this.#open(id, [...path, part]),
      };
      this.#reader.show(message, links, path.length > 0);
      this.#reader.flag(false);
      if (message.unread) await this.#api.flag(id, false);
    });
  }

  #close() {
    this.#current = null;
    this.#inbox.mark(null);
    this.#reader.close();
  }

  /** @param {string} id */
  #delete(id) {
    if (id === this.#current) {
      const inside = byId("reader").contains(document.activeElement);
      const next = this.#inbox.beside(id, 1) ?? this.#inbox.beside(id, -1);
      this.#close();
      if (inside && next !== null) this.#inbox.focus(next);
    }
    this.#act(() => this.#api.delete(id));
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    const asked = command(event, byId("messages"));
    if (asked === undefined) return;
    const chosen = this.#inbox.focused() ?? this.#current;
    if (asked === "delete") {
      if (chosen === null) return;
      event.preventDefault();
      this.#delete(chosen);
      return;
    }
    event.preventDefault();
    const next = this.#inbox.beside(chosen, asked === "next" ? 1 : -1);
    if (next === null) this.#turn(asked);
    // Where there is no room for both, the list is not there while a mail is open.
    else if (byId("messages").checkVisibility()) this.#inbox.focus(next);
    else this.#open(next);
  }

  #listen() {
    document.addEventListener("keydown", (event) => this.#pressed(event));
    byId("newer").addEventListener("click", () => this.#turn("previous"));
    byId("older").addEventListener("click", () => this.#turn("next"));
    byId("back").addEventListener("click", () => {
      const id = this.#current;
      this.#close();
      if (id !== null) this.#inbox.focus(id);
    });
    byId("outer").addEventListener("click", () => {
      if (this.#current !== null) this.#open(this.#current, this.#path.slice(0, -1));
    });
    byId("unread").addEventListener("click", () => {
      const id = this.#current;
      if (id !== null) this.#act(() => this.#api.flag(id, byId("unread").dataset.to === "unread"));
    });
    byId("delete").addEventListener("click", () => {
      if (this.#current !== null) this.#delete(this.#current);
    });
    byId("compose").addEventListener("click", () => this.#composer.open(this.#account));
    byId("cancel").addEventListener("click", () => this.#composer.close());
  }

  /** @param {import("./composer.js").Draft} draft */
  async #send(draft) {
    await this.#api.send(draft);
    this.#refresher.request();
  }

  /** Does something to a mail, and shows a notice when it failed. @param {() => Promise<unknown>} action */
  async #act(action) {
    byId("notice").hidden = true;
    try {
      await action();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#notice(`The mail was not changed: ${error.message}.`);
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
  byId("notice").textContent = error instanceof ApiError ? `The mail cannot be loaded: ${error.message}.` : "This page has an error. Reload it.";
  byId("notice").hidden = false;
  byId("connection").textContent = "Not connected";
  byId("connection").dataset.state = "stopped";
  if (!(error instanceof ApiError)) throw error;
}
