/** The open mail. Texts of strangers are only ever set as text; their HTML is a sandboxed document of its own. */

/** @typedef {import("./api.js").Message} Message */

const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const PARTS = ["message", "subject", "from", "to", "date", "attachments-row", "attachments", "body", "unread"];

/** Shows one message or none. */
export class ReaderView {
  #mail;
  #section;
  /** @type {Record<string, HTMLElement>} */
  #parts;

  constructor() {
    this.#mail = byId("mail");
    this.#section = byId("reader");
    this.#parts = Object.fromEntries(PARTS.map((id) => [id, byId(id)]));
  }

  /** @param {Message} message @param {string} htmlUrl where its HTML is, if it has any */
  show(message, htmlUrl) {
    const parts = this.#parts;
    parts.subject.textContent = message.subject || "(no subject)";
    parts.from.textContent = message.sender;
    parts.to.textContent = message.to;
    parts.date.textContent = message.date === null ? "" : dateText(message.date);
    parts.attachments.textContent = message.attachments.join(", ");
    parts["attachments-row"].hidden = message.attachments.length === 0;
    parts.body.replaceChildren(message.html ? frame(htmlUrl) : text(message.text ?? ""));
    parts.message.hidden = false;
    this.#mail.dataset.open = "true";
    this.#section.focus({ preventScroll: true });
  }

  /** @param {boolean} unread */
  flag(unread) {
    this.#parts.unread.textContent = unread ? "Mark read" : "Mark unread";
  }

  close() {
    this.#parts.message.hidden = true;
    this.#parts.body.replaceChildren();
    this.#mail.dataset.open = "false";
  }
}

/** @param {number} seconds since 1970, as the author claims */
function dateText(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "" : FULL.format(date);
}

/** @param {string} url */
function frame(url) {
  const frame = document.createElement("iframe");
  frame.title = "Message text";
  // Neither scripts nor our origin: a document from nowhere that can do nothing but open links in new tabs.
  frame.sandbox.add("allow-popups", "allow-popups-to-escape-sandbox");
  frame.referrerPolicy = "no-referrer";
  frame.src = url;
  return frame;
}

/** @param {string} content */
function text(content) {
  const pre = document.createElement("pre");
  pre.dir = "auto";
  pre.textContent = content;
  return pre;
}

/** @param {string} id @returns {HTMLElement} */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
