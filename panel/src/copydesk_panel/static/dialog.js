// Dialogs of our own: the browser's <dialog> keeps the focus inside and closes with Escape.

import { h } from "./dom.js";
import { text } from "./text.js";

/**
 * Show a dialog. Resolves when it closes. `fill` gets a function that closes it.
 * @param {string} title
 * @param {(close: () => void) => Node[]} fill
 * @param {string} [kind] class of the dialog
 * @param {{held?: boolean}} [options] `held`: it does not close by Escape
 * @returns {Promise<void>}
 */
export function showDialog(title, fill, kind = "", { held = false } = {}) {
  const dialog = h("dialog", { class: kind, "aria-label": title });
  const close = () => dialog.close();
  if (held) dialog.addEventListener("cancel", (/** @type {Event} */ event) => event.preventDefault());
  dialog.append(h("h2", {}, title), ...fill(close));
  const before = document.activeElement;
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      resolve();
    });
  });
}

/** A place for the sentence of what went wrong. @returns {HTMLElement} */
export const errorLine = () => h("p", { class: "error", role: "alert", hidden: true });

/** @param {HTMLElement} line @param {string} sentence */
export function showError(line, sentence) {
  line.textContent = sentence;
  line.hidden = sentence === "";
}

/**
 * Ask before something is done; what goes wrong is said in the dialog, which then stays.
 * @param {{title: string, body: string[], action: string, run: () => Promise<void>}} question
 */
export function confirmDialog({ title, body, action, run }) {
  return showDialog(title, (close) => {
    const error = errorLine();
    const confirm = h("button", { type: "button", class: "halt", data: { act: "confirm" } }, action);
    const cancel = h("button", { type: "button", autofocus: true, on: { click: close } }, text.dialog.cancel);
    confirm.addEventListener("click", async () => {
      confirm.disabled = true;
      showError(error, "");
      try {
        await run();
        close();
      } catch (problem) {
        showError(error, /** @type {Error} */ (problem).message);
        confirm.disabled = false;
      }
    });
    return [...body.map((line) => h("p", {}, line)), error, h("div", { class: "buttons" }, cancel, confirm)];
  }, "question");
}

/** @param {string} sentence */
export function failureDialog(sentence) {
  return showDialog(text.confirm.failedTitle, (close) => [
    h("p", { class: "error", role: "alert" }, sentence),
    h("div", { class: "buttons" }, h("button", { type: "button", autofocus: true, on: { click: close } }, text.dialog.close)),
  ], "question");
}
