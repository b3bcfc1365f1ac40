/** The open mail. Texts of strangers are only ever set as text; their HTML is a sandboxed document of its own. */

/** @typedef {import("./api.js").Message} Message */

const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const PARTS = [
  "message", "subject", "from", "to", "date", "attachments-row", "attachments", "notes", "body", "unread", "outer",
  "delete",
];
const UNITS = ["B", "kB", "MB"];

/**
 * Where the parts of a message are, and what opens one that is a message.
 * @typedef {{html: (part: number) => string, file: (part: number) => string, open: (part: number) => void}} Links
 */

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

  /**
   * @param {Message} message
   * @param {Links} links
   * @param {boolean} attached whether it is attached to another
   */
  show(message, links, attached) {
    const parts = this.#parts;
    parts.subject.textContent = message.subject || "(no subject)";
    parts.from.textContent = message.sender;
    parts.to.textContent = message.to;
    parts.date.textContent = message.date === null ? "" : dateText(message.date);
    parts.attachments.replaceChildren(...message.attachments.map((attachment) => attachmentItem(attachment, links)));
    parts["attachments-row"].hidden = message.attachments.length === 0;
    parts.notes.replaceChildren(...message.notes.map((note) => element("li", { textContent: note })));
    parts.notes.hidden = message.notes.length === 0;
    parts.body.replaceChildren(...message.body.map((part) => text(part, links)));
    parts.body.classList.toggle("several", message.body.length > 1);
    if (message.body.length === 0) {
      parts.body.append(element("p", { className: "empty quiet", textContent: "This mail has no text." }));
    }
    parts.outer.hidden = !attached;
    parts.unread.hidden = parts.delete.hidden = attached;
    parts.message.hidden = false;
    this.#mail.dataset.open = "true";
    // Both for a wide window, where this section scrolls, and for a narrow one, where the page does.
    this.#section.scrollTop = 0;
    scrollTo(0, 0);
    this.#section.focus({ preventScroll: true });
  }

  /** @param {boolean} unread */
  flag(unread) {
    this.#parts.unread.textContent = unread ? "Mark read" : "Mark unread";
    this.#parts.unread.dataset.to = unread ? "read" : "unread";
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

/** @param {import("./api.js").Body} part @param {Links} links */
function text({ part, name, text }, links) {
  const shown = text === null ? frame(links.html(part), name) : element("pre", { dir: "auto", textContent: text });
  if (!name) return shown;
  const figure = document.createElement("figure");
  figure.append(element("figcaption", { dir: "auto", className: "quiet", textContent: name }), shown);
  return figure;
}

/** @param {string} url @param {string} name */
function frame(url, name) {
  const frame = document.createElement("iframe");
  frame.title = name || "Message text";
  // Neither scripts nor our origin: a document from nowhere that can do nothing but open links in new tabs.
  frame.sandbox.add("allow-popups", "allow-popups-to-escape-sandbox");
  frame.referrerPolicy = "no-referrer";
  frame.loading = "lazy";
  frame.src = url;
  return frame;
}

/** @param {import("./api.js").Attachment} attachment @param {Links} links */
function attachmentItem({ part, name, size, message }, links) {
  const item = document.createElement("li");
  if (message) {
    const open = element("button", { type: "button", dir: "auto", textContent: name, title: "Open this mail" });
    open.addEventListener("click", () => links.open(part));
    item.append(open, " ");
  }
  const file = element("a", { dir: "auto", href: links.file(part), download: "", textContent: message ? "Save" : name });
  if (message) file.ariaLabel = `Save ${name}`;
  item.append(file, " ", element("span", { className: "quiet", textContent: sizeText(size) }));
  return item;
}

/** @param {number} bytes */
function sizeText(bytes) {
  let unit = 0;
  for (; bytes >= 1000 && unit < UNITS.length - 1; unit++) bytes /= 1000;
  return `${bytes < 10 && unit > 0 ? bytes.toFixed(1) : Math.round(bytes)} ${UNITS[unit]}`;
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Partial<HTMLElementTagNameMap[K]>} properties
 */
function element(name, properties) {
  return Object.assign(document.createElement(name), properties);
}

/** @param {string} id @returns {HTMLElement} */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
