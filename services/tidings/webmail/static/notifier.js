/** Desktop notifications of new mail. The browser's permission is asked for by a button, never by the page itself. */

/** @typedef {import("./api.js").Listed} Listed */

const KEY = "tidings.notify";
/** A burst is over when nothing has come for so long, */
const QUIET_MS = 1_000;
/** or when it has taken so long. */
const BURST_MS = 5_000;
/** So many mails of a burst are named. */
const NAMED = 4;

/**
 * All tabs hear of all mails and gather them, so that none is forgotten when another tab takes the lead; the one that
 * leads when a burst is over notifies. The choice holds for all tabs of the browser.
 */
export class Notifier {
  #button;
  #account;
  #page;
  /** @type {Listed[]} the newest mails of the burst */
  #mails = [];
  #count = 0;
  #began = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {HTMLButtonElement} button
   * @param {string} account
   * @param {object} page
   * @param {() => boolean} page.leads whether this tab is the one that notifies
   * @param {(id: string) => void} page.open shows a mail
   * @param {() => void} page.chosen notifications are wanted from now on, or no longer
   * @param {(text: string) => void} page.tell says what does not work
   */
  constructor(button, account, page) {
    this.#button = button;
    this.#account = account;
    this.#page = page;
    button.hidden = !("Notification" in globalThis);
    button.addEventListener("click", () => this.#toggle());
    addEventListener("storage", ({ key }) => {
      if (key === KEY || key === null) this.#chose();
    });
    this.#show();
  }

  /** Whether notifications are wanted, and allowed. */
  get on() {
    return chosen() && !this.#button.hidden && Notification.permission === "granted";
  }

  /** @param {Listed[]} added mails that have come, newest first */
  arrived(added) {
    const unread = added.filter((mail) => mail.unread);
    if (unread.length === 0 || !this.on) return;
    const now = performance.now();
    if (this.#count === 0) this.#began = now;
    this.#count += unread.length;
    this.#mails = [...unread, ...this.#mails].slice(0, NAMED);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#notify(), Math.min(QUIET_MS, this.#began + BURST_MS - now));
  }

  async #toggle() {
    const wanted = !this.on;
    if (wanted && (await Notification.requestPermission()) !== "granted") {
      this.#page.tell("The browser's settings for this site do not allow notifications.");
      return;
    }
    choose(wanted);
    this.#chose();
  }

  #chose() {
    this.#show();
    this.#page.chosen();
  }

  #show() {
    this.#button.ariaPressed = String(this.on);
  }

  #notify() {
    const [count, mails] = [this.#count, this.#mails];
    this.#count = 0;
    this.#mails = [];
    if (!this.on || !this.#page.leads()) return;
    const [{ id }] = mails;
    const named = mails.map(({ summary }) => [summary.sender || "(no sender)", summary.subject || "(no subject)"]);
    const [title, body] = count === 1
      ? named[0]
      : [`${count} new mails for ${this.#account}`, named.map((mail) => mail.join(": ")).join("\n")];
    // In place of the one before it; `renotify`, since it says something else.
    const options = { body, tag: `tidings ${this.#account}`, renotify: true };
    try {
      const notification = new Notification(title, options);
      notification.onclick = () => {
        notification.close();
        focus();
        this.#page.open(id);
      };
    } catch (error) {
      // Chromium on Android has notifications of service workers only.
      if (!(error instanceof TypeError)) throw error;
      choose(false);
      this.#chose();
      this.#page.tell("This browser cannot show notifications.");
    }
  }
}

/** @returns {boolean} */
function chosen() {
  try {
    return localStorage.getItem(KEY) === "on";
  } catch {
    return false;
  }
}

/** @param {boolean} on It is kept where the browser lets pages keep something. */
function choose(on) {
  try {
    localStorage.setItem(KEY, on ? "on" : "off");
  } catch {
    // Then the choice cannot be made either: the button stays as it is.
  }
}
