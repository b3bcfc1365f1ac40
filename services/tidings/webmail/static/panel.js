/** What the page tells of itself: the connection, and what pushing instead of polling does. */

/** @typedef {import("/client/tidings.js").Status} Status */

const POLL_MS = 30_000;

/** @type {Record<import("/client/tidings.js").Transport, string>} */
const CONNECTED = {
  websocket: "Connected",
  eventsource: "Connected (event stream)",
  poll: "Connected (long polls)",
};

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
        return this.#say("connecting", this.#lost ? "Reconnecting…" : "Connecting…");
      case "connected":
        this.#lost = false;
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

/** The numbers at the foot of the page. */
export class PanelView {
  #pushes;
  #polls;
  #latency;
  #pushed = 0;
  #since = Date.now();

  /** @param {HTMLElement} pushes @param {HTMLElement} polls @param {HTMLElement} latency */
  constructor(pushes, polls, latency) {
    this.#pushes = pushes;
    this.#polls = polls;
    this.#latency = latency;
    setInterval(() => this.#countPolls(), 1_000);
  }

  countPush() {
    this.#pushes.textContent = String(++this.#pushed);
  }

  /** @param {number} milliseconds @param {string} since what the time is counted from */
  showLatency(milliseconds, since) {
    this.#latency.textContent = `${Math.max(0, Math.round(milliseconds))} ms after ${since}`;
  }

  #countPolls() {
    this.#polls.textContent = String(Math.floor((Date.now() - this.#since) / POLL_MS));
  }
}
