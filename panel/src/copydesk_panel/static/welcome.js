// The first run: no connection yet. The page explains itself and offers the rehearsal.

import { api } from "./api.js";
import { errorLine, showError } from "./dialog.js";
import { h } from "./dom.js";
import { beginRehearsal } from "./session.js";
import { text } from "./text.js";

const FIRST = "binance-futures";
const EMBEDDED = "paper"; // has no server of its own

export class Welcome {
  /** @param {HTMLElement} root @param {import("./store.js").Store} store */
  constructor(root, store) {
    this.root = root;
    this.store = store;
    this.root.setAttribute("aria-label", text.welcome.title);
    this.kind = h("select", { name: "rehearse", "aria-label": text.welcome.kind });
    this.begin = h("button", { type: "button", class: "go trades", data: { act: "rehearse" }, on: { click: () => void this.rehearse() } }, text.welcome.rehearse);
    this.error = errorLine();
    root.append(h("div", { class: "welcome" }, h("h2", {}, text.welcome.title), h("p", { class: "lead" }, text.welcome.lead),
      h("section", { class: "offer trades" }, h("h3", {}, text.welcome.offer), h("p", {}, text.welcome.offerBody), h("div", { class: "offer-row" }, this.kind, this.begin), this.error),
      h("ol", { class: "steps" }, ...text.welcome.steps.map(({ title, body, command }) => h("li", {}, h("h3", {}, title), h("p", {}, body), command ? commandLine(command) : null))),
      h("p", { class: "dim" }, text.welcome.keys)));
    store.on(["view", "accounts", "connection"], () => this.render());
  }

  render() {
    const begins = this.store.engine !== "" && this.store.accounts.size === 0 && this.store.bots.size === 0;
    if (begins && this.root.hidden) void this.offer();
    this.root.hidden = !begins;
    document.body.classList.toggle("first-run", begins);
  }

  /** What is installed can be rehearsed. */
  async offer() {
    try {
      const kinds = /** @type {{kind: string, title: string}[]} */ (await api.kinds()).filter(({ kind }) => kind !== EMBEDDED);
      this.kind.replaceChildren(...kinds.map(({ kind, title }) => h("option", { value: kind }, title || kind)));
      if (kinds.some(({ kind }) => kind === FIRST)) this.kind.value = FIRST;
      this.begin.disabled = kinds.length === 0;
    } catch (problem) {
      showError(this.error, /** @type {Error} */ (problem).message);
    }
  }

  async rehearse() {
    this.begin.disabled = true;
    this.begin.textContent = text.welcome.starting;
    showError(this.error, "");
    try {
      await beginRehearsal(this.kind.value);
    } catch (problem) {
      showError(this.error, /** @type {Error} */ (problem).message);
    } finally {
      this.begin.disabled = false;
      this.begin.textContent = text.welcome.rehearse;
    }
  }
}

/** @param {string} command */
function commandLine(command) {
  const button = h("button", { type: "button", class: "small", on: { click: async () => {
    await navigator.clipboard.writeText(command);
    button.textContent = text.welcome.copied;
  } } }, text.welcome.copy);
  return h("div", { class: "command" }, h("code", {}, command), button);
}
