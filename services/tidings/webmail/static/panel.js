/** What the page tells of itself: the connection, and what pushing instead of polling does. */

/** @typedef {import("/client/tidings.js").Status} Status */

/** @type {Record<import("/client/tidings.js").Transport, string>} */
const CONNECTED = {
  websocket: "Connected",
  eventsource: "Connected (event stream)",
  poll: "Connected (long polls)",
};

const STALLED = "Connected, but new changes do not arrive";

/** The connection indicator. The countdown is not spoken: it would not end. */
export class ConnectionView {
  #element;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #counting;
  #lost = false;

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#element = element;
  }

  /** @param {Status} status */
  show(status) {
    clearInterval(this.#counting);
    switch (status.state) {
      case "connecting":
        if (status.stalled) return this.#say("stalled", STALLED);
        return this.#say("connecting", this.#lost ? "Reconnecting…" : "Connecting…");
      case "connected":
        this.#lost = false;
        if (status.stalled) return this.#say("stalled", STALLED);
        return this.#say("connected", CONNECTED[status.transport]);
      case "stopped":
        return this.#say("stopped", status.error ? `Not connected: ${status.error}` : "Not connected");
      case "waiting":
        this.#lost = true;
        return this.#count(status);
    }
  }

  /** @param {{retryInMs: number, offline: boolean}} status */
  #count({ retryInMs, offline }) {
    this.#say(offline ? "offline" : "waiting", offline ? "Offline, reconnecting" : "Reconnecting");
    const countdown = document.createElement("span");
    countdown.ariaHidden = "true";
    this.#element.append(countdown);
    const due = Date.now() + retryInMs;
    const count = () => {
      countdown.textContent = ` in ${Math.max(0, Math.ceil((due - Date.now()) / 1000))} s`;
    };
    count();
    this.#counting = setInterval(count, 250);
  }

  /** @param {string} state @param {string} text */
  #say(state, text) {
    this.#element.dataset.state = state;
    this.#element.textContent = text;
  }
}

/**
 * The numbers at the foot of the page: what this page asked for the list, and how late it was, beside a page that asks
 * every so many seconds. What changes then waits for half of that on average.
 */
export class PanelView {
  #parts;
  #pushes = 0;
  #fetches = 0;
  #changes = 0;
  #milliseconds = 0;
  #since = performance.now();

  /**
   * @param {object} parts
   * @param {HTMLElement} parts.pushes
   * @param {HTMLElement} parts.fetches
   * @param {HTMLElement} parts.polls
   * @param {HTMLElement} parts.latency of the last change
   * @param {HTMLElement} parts.average
   * @param {HTMLElement} parts.lateness of polls, on average
   * @param {HTMLSelectElement} parts.every seconds between polls
   */
  constructor(parts) {
    this.#parts = parts;
    parts.every.addEventListener("change", () => this.#compare());
    setInterval(() => this.#compare(), 1_000);
    this.#compare();
  }

  countPush() {
    this.#parts.pushes.textContent = String(++this.#pushes);
  }

  /** The list was asked for again. A page that polls begins with one request, too: that one does not count. */
  countFetch() {
    this.#parts.fetches.textContent = String(++this.#fetches);
  }

  /** @param {number[]} delays from the storage to the screen, of each change in milliseconds */
  showDelays(delays) {
    this.#changes += delays.length;
    this.#milliseconds += delays.reduce((sum, delay) => sum + delay, 0);
    const average = duration(this.#milliseconds / this.#changes);
    this.#parts.average.textContent = `${average} (${this.#changes === 1 ? "1 change" : `${this.#changes} changes`})`;
    this.#parts.latency.textContent = `${duration(Math.min(...delays))} after it was stored`;
  }

  /** @param {number} milliseconds from the push to the screen, of a change that leaves no time */
  showSincePush(milliseconds) {
    this.#parts.latency.textContent = `${duration(milliseconds)} after the push`;
  }

  #compare() {
    const seconds = Number(this.#parts.every.value);
    const polls = Math.floor((performance.now() - this.#since) / 1_000 / seconds);
    this.#parts.polls.textContent = String(polls);
    this.#parts.lateness.textContent = duration(seconds * 500);
  }
}

/** @param {number} milliseconds */
function duration(milliseconds) {
  if (milliseconds < 1_000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  const seconds = milliseconds / 1_000;
  return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
}
