/** The dialog that writes a test mail. */

import { ApiError } from "./api.js";

/** @typedef {{to: string, subject: string, text: string}} Draft */

export class ComposerView {
  #dialog;
  #form;
  #fault;
  #send;

  /**
   * @param {{dialog: HTMLDialogElement, form: HTMLFormElement, fault: HTMLElement}} parts
   * @param {(draft: Draft) => Promise<void>} send
   */
  constructor({ dialog, form, fault }, send) {
    this.#dialog = dialog;
    this.#form = form;
    this.#fault = fault;
    this.#send = send;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  /** @param {string} to who is proposed */
  open(to) {
    const recipient = /** @type {HTMLInputElement} */ (this.#form.elements.namedItem("to"));
    recipient.value ||= to;
    this.#fault.hidden = true;
    this.#dialog.showModal();
  }

  close() {
    this.#dialog.close();
  }

  async #submit() {
    const { to, subject, text } = Object.fromEntries(new FormData(this.#form));
    try {
      await this.#send({ to: String(to).trim(), subject: String(subject), text: String(text) });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#fault.textContent = error.message;
      this.#fault.hidden = false;
      return;
    }
    this.#form.reset();
    this.close();
  }
}
