/** The webmail's JSON API. Every call names the account, as in the page's own `?account=`. */

/**
 * @typedef {{sender: string, subject: string, date: number | null, snippet: string}} Summary
 * @typedef {{id: string, received: number, touched: number, unread: boolean, summary: Summary, fault: string | null}}
 *   Listed a message; `fault` says why its file cannot be read
 * @typedef {{now: number, total: number, unread: number, left_out: number, offset: number, limit: number,
 *   messages: Listed[], open: {unread: boolean} | null}} Inbox a page of it; `open` is the message asked about
 * @typedef {{part: number, name: string, text: string | null}} Body a text to show; null is HTML, which has a URL
 * @typedef {{part: number, name: string, type: string, size: number, message: boolean}} Attachment
 * @typedef {{sender: string, to: string, subject: string, date: number | null, text: string | null, html: boolean,
 *   body: Body[], attachments: Attachment[], notes: string[], unread: boolean}} Message
 * @typedef {{account: string, accounts: string[], pushUrl: string}} Session
 */

/** An answer that is none: `status` is the HTTP status, 0 when there was no answer at all. */
export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * Who the page speaks for.
 * @param {string | null} account as the page's address names it
 * @returns {Promise<Session>}
 */
export function openSession(account) {
  return call(`/api/session${account === null ? "" : `?account=${encodeURIComponent(account)}`}`);
}

/** What can be done with the mail of one account. */
export class Api {
  #query;

  /** @param {string} account */
  constructor(account) {
    this.#query = `?account=${encodeURIComponent(account)}`;
  }

  /**
   * A page of the inbox.
   * @param {number} offset how many newer messages come before it
   * @param {string | null} open a message to be asked about
   * @returns {Promise<Inbox>}
   */
  inbox(offset, open) {
    return call(`/api/messages${this.#query}&offset=${offset}${open === null ? "" : `&open=${open}`}`);
  }

  /**
   * A message, or the one attached to it that `path` leads to.
   * @param {string} id
   * @param {number[]} path
   * @returns {Promise<Message>}
   */
  read(id, path) {
    return call(`/api/messages/${id}${this.#query}${path.length ? `&part=${path.join(".")}` : ""}`);
  }

  /** The document of a part that is HTML. @param {string} id @param {number[]} path */
  htmlUrl(id, path) {
    return `/api/messages/${id}/html${this.#query}&part=${path.join(".")}`;
  }

  /** The file that a part is. @param {string} id @param {number[]} path */
  attachmentUrl(id, path) {
    return `/api/messages/${id}/attachment${this.#query}&part=${path.join(".")}`;
  }

  /** @param {{to: string, subject: string, text: string}} mail */
  send(mail) {
    return call(`/api/messages${this.#query}`, "POST", mail);
  }

  /** @param {string} id @param {boolean} unread */
  flag(id, unread) {
    return call(`/api/messages/${id}${this.#query}`, "PATCH", { unread });
  }

  /** @param {string} id */
  delete(id) {
    return call(`/api/messages/${id}${this.#query}`, "DELETE");
  }
}

/**
 * @param {string} path
 * @param {string} [method]
 * @param {object} [body]
 */
async function call(path, method = "GET", body) {
  const json = body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, { method, cache: "no-store", ...json });
    if (response.ok) return response.headers.get("Content-Type")?.includes("json") ? await response.json() : null;
  } catch {
    throw new ApiError(0, "the mail server does not answer");
  }
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(response.status, problem.detail ?? `the mail server answered ${response.status}`);
}
