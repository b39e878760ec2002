// The first run: no connection yet. The page explains itself and offers the rehearsal.

import { h } from "./dom.js";
import { text } from "./text.js";

export class Welcome {
  /** @param {HTMLElement} root @param {import("./store.js").Store} store */
  constructor(root, store) {
    this.root = root;
    this.store = store;
    this.root.setAttribute("aria-label", text.welcome.title);
    root.append(h("div", { class: "welcome" }, h("h2", {}, text.welcome.title), h("p", { class: "lead" }, text.welcome.lead),
      h("ol", { class: "steps" }, ...text.welcome.steps.map(({ title, body, command }) => h("li", {}, h("h3", {}, title), h("p", {}, body), command ? commandLine(command) : null))),
      h("p", { class: "dim" }, text.welcome.keys)));
    store.on(["view", "accounts", "connection"], () => this.render());
  }

  render() {
    const begins = this.store.engine !== "" && this.store.accounts.size === 0 && this.store.bots.size === 0;
    this.root.hidden = !begins;
    document.body.classList.toggle("first-run", begins);
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
