/** The list of mails. Texts of strangers are only ever set as text. */

/** @typedef {import("./api.js").Listed} Listed */

const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** Keeps the rows of messages that stay, and with them focus and scroll position. */
export class InboxView {
  /** @type {Map<string, {item: HTMLLIElement, row: HTMLButtonElement, parts: Record<string, HTMLElement>}>} */
  #rows = new Map();
  #list;
  #open;
  #shown = false;

  /** @param {HTMLUListElement} list @param {(id: string) => void} open */
  constructor(list, open) {
    this.#list = list;
    this.#open = open;
  }

  /** @param {Listed[]} messages newest first @param {string | null} current the one that is open */
  show(messages, current) {
    const focused = this.focused();
    const place = focused === null ? -1 : this.#ids().indexOf(focused);
    const kept = new Set(messages.map(({ id }) => id));
    for (const [id, { item }] of this.#rows) {
      if (kept.has(id)) continue;
      item.remove();
      this.#rows.delete(id);
    }
    messages.forEach((message, index) => {
      const { item, row, parts } = this.#rows.get(message.id) ?? this.#add(message.id);
      const { sender, subject, snippet } = message.summary;
      const { fault } = message;
      parts.sender.textContent = fault === null ? sender || "(no sender)" : "(a file that cannot be read)";
      parts.subject.textContent = fault === null ? subject || "(no subject)" : fault;
      parts.snippet.textContent = snippet;
      parts.when.textContent = when(message.received);
      parts.spoken.textContent = message.unread ? "unread" : "";
      row.dataset.unread = String(message.unread);
      row.setAttribute("aria-current", String(message.id === current));
      if (this.#list.children[index] !== item) this.#list.insertBefore(item, this.#list.children[index] ?? null);
    });
    this.#shown = true;
    if (focused === null) return;
    // To the one that took its place; a row that was moved has lost the focus, too.
    const ids = this.#ids();
    if (ids.length === 0 || this.focused() !== null) return;
    this.focus(kept.has(focused) ? focused : ids[Math.min(place, ids.length - 1)]);
  }

  /** @returns {string | null} whose row has the focus */
  focused() {
    for (const [id, { row }] of this.#rows) if (row === document.activeElement) return id;
    return null;
  }

  /** @param {string} id */
  focus(id) {
    const row = this.#rows.get(id)?.row;
    row?.focus({ preventScroll: true });
    row?.scrollIntoView({ block: "nearest" });
  }

  /**
   * @param {string | null} id
   * @param {number} step 1: below it, -1: above it
   * @returns {string | null} the message there; without `id` the first one, null beyond the ends
   */
  beside(id, step) {
    const ids = this.#ids();
    const place = id === null ? -1 : ids.indexOf(id);
    return (place < 0 ? ids[0] : ids[place + step]) ?? null;
  }

  #ids() {
    const ids = new Map([...this.#rows].map(([id, { item }]) => [/** @type {Element} */ (item), id]));
    return [...this.#list.children].map((item) => /** @type {string} */ (ids.get(item)));
  }

  /** @param {string | null} current */
  mark(current) {
    for (const [id, { row }] of this.#rows) row.setAttribute("aria-current", String(id === current));
  }

  /** @param {string} id */
  #add(id) {
    const item = document.createElement("li");
    item.classList.toggle("fresh", this.#shown);
    const row = document.createElement("button");
    row.type = "button";
    row.className = "row";
    row.addEventListener("click", () => this.#open(id));
    const parts = Object.fromEntries(["sender", "when", "subject", "snippet", "spoken"].map((name) => {
      const part = document.createElement("span");
      part.className = name;
      part.dir = "auto";
      return [name, part];
    }));
    row.append(...Object.values(parts));
    item.append(row);
    const entry = { item, row, parts };
    this.#rows.set(id, entry);
    return entry;
  }
}

/** @param {number} seconds since 1970 */
function when(seconds) {
  const date = new Date(seconds * 1000);
  return date.toDateString() === new Date().toDateString() ? TIME.format(date) : DAY.format(date);
}
