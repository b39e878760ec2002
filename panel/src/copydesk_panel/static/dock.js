// The lower pane: log, positions and drift, tickets. One of them is seen; the tabs stand in the bar of whichever it is.

import { find, h, setText } from "./dom.js";
import { text } from "./text.js";

/** @typedef {"log" | "positions" | "tickets"} DockPage */
const PAGES = /** @type {DockPage[]} */ (["log", "positions", "tickets"]);

export class Dock {
  constructor() {
    /** @type {DockPage} */
    this.page = "log";
    this.counts = Object.fromEntries(PAGES.map((page) => [page, h("i", { class: "count", hidden: true })]));
    this.tabs = PAGES.map((page) => h("button", { type: "button", role: "tab", id: `dock-${page}`, "aria-controls": page, on: {
      click: () => this.open(page), keydown: (/** @type {KeyboardEvent} */ event) => this.arrow(event) } }, text.dock[page], this.counts[page]));
    this.strip = h("div", { class: "dock-tabs", role: "tablist", "aria-label": text.dock.title }, ...this.tabs);
    for (const page of PAGES) find(`#${page}`).setAttribute("role", "tabpanel");
    this.open("log");
  }

  /** @param {DockPage} page @param {boolean} [focus] */
  open(page, focus = false) {
    this.page = page;
    PAGES.forEach((name, index) => {
      this.tabs[index].setAttribute("aria-selected", String(name === page));
      this.tabs[index].tabIndex = name === page ? 0 : -1;
      find(`#${name}`).hidden = name !== page;
    });
    find(`#${page} > .bar`).prepend(this.strip);
    if (focus) this.tabs[PAGES.indexOf(page)].focus();
  }

  /** @param {KeyboardEvent} event */
  arrow(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) this.open(PAGES[(PAGES.indexOf(this.page) + step + PAGES.length) % PAGES.length], true);
  }

  /** How many things want a look there. @param {DockPage} page @param {number} count */
  count(page, count) {
    setText(this.counts[page], String(count));
    this.counts[page].hidden = count === 0;
  }
}
