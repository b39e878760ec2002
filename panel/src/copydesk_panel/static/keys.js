// Everything by keyboard: single keys where nothing is typed. The list of them is a dialog of its own.

import { showDialog } from "./dialog.js";
import { h } from "./dom.js";
import { text } from "./text.js";

const TYPED = new Set(["INPUT", "SELECT", "TEXTAREA"]);

/** @param {Record<string, () => void>} actions by key, as named in `text.keys` */
export function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || TYPED.has(target.tagName) || document.querySelector("dialog[open]")) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

export function keysDialog() {
  return showDialog(text.keys.title, (close) => [
    h("dl", { class: "keys" }, ...Object.entries(text.keys.list).flatMap(([key, words]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, words)])),
    h("div", { class: "buttons" }, h("button", { type: "button", autofocus: true, on: { click: close } }, text.dialog.close)),
  ], "question");
}
