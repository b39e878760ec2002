// The table of bots: one row per bot, its children beneath it. Grouped, filtered, and only what one sees is in the document,
// so that it is as quick with five hundred children as with five.

import { api } from "./api.js";
import { failureDialog } from "./dialog.js";
import { h, icon, setText } from "./dom.js";
import { count, latency } from "./format.js";
import { deleteDialog, startDialog, stopDialog } from "./plan.js";
import { maySend } from "./session.js";
import { text } from "./text.js";
import { VirtualRows } from "./virtual.js";

const COLUMNS = /** @type {const} */ (["name", "parent", "children", "mode", "counts", "latency", "status", "action", "settings", "remove"]);
const HEALTH_GOOD = new Set(["in sync", "in-sync", "ok", ""]);
const ROW = 27;
const MANY = 12; // with more rows than this there is a bar to find some of them

/** @typedef {{bot: string, child: string}} Choice */
/** @typedef {import("./types.js").BotView} BotView @typedef {import("./types.js").ChildView} ChildView */
/** @typedef {{bot: BotView, child: ChildView | null}} Item */

export class BotsTable {
  /**
   * @param {HTMLElement} root
   * @param {import("./store.js").Store} store
   * @param {{choose: (choice: Choice) => void, settings: (name: string) => void, add: () => void}} actions
   */
  constructor(root, store, actions) {
    this.store = store;
    this.actions = actions;
    /** @type {Choice} */
    this.choice = { bot: "", child: "" };
    /** Bots that were opened or closed by hand; else the chosen one is open. @type {Map<string, boolean>} */
    this.open = new Map();
    /** @type {Set<string>} */
    this.busy = new Set();
    this.empty = h("div", { class: "empty" });
    this.search = h("input", { type: "search", placeholder: text.bots.filter, "aria-label": text.bots.filter, spellcheck: "false", on: { input: () => this.render() } });
    this.trouble = h("input", { type: "checkbox", on: { change: () => this.render() } });
    this.summary = h("span", { class: "dim", role: "status" });
    this.bar = h("div", { class: "bar", hidden: true }, h("h2", {}, text.bots.title), this.summary, h("span", { class: "push" }), this.search, h("label", { class: "check" }, this.trouble, text.bots.onlyTrouble));
    const head = h("div", { class: "bots-row rows-head", role: "row" }, ...COLUMNS.map((column) => h("span", { role: "columnheader", class: `c-${column}` }, text.bots.columns[column])));
    this.list = new VirtualRows({ height: ROW, make: () => new Row(this), write: (row, item) => row.write(item) }, head,
      { class: "rows-scroll bots", role: "treegrid", "aria-label": text.bots.title });
    this.list.scroller.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.key(event));
    root.setAttribute("aria-label", text.bots.title);
    root.append(this.bar, this.list.scroller, this.empty);
    store.on(["bots", "accounts", "connection", "view"], () => this.render());
  }

  /** @param {Choice} choice */
  setChoice(choice) {
    this.choice = choice;
    this.render();
  }

  /** @param {string} name */
  isOpen(name) {
    return this.open.get(name) ?? name === this.choice.bot;
  }

  /** @param {string} name @param {boolean} [wanted] */
  toggle(name, wanted = !this.isOpen(name)) {
    this.open.set(name, wanted);
    this.render();
  }

  /** The rows as they are to be seen. @returns {Item[]} */
  items() {
    const wanted = this.search.value.trim().toLowerCase();
    const onlyTrouble = this.trouble.checked;
    const items = /** @type {Item[]} */ ([]);
    for (const bot of this.store.bots.values()) {
      const named = !wanted || `${bot.name} ${bot.parent}`.toLowerCase().includes(wanted);
      const fitting = bot.children.filter((child) => (named || child.account.toLowerCase().includes(wanted)) && (!onlyTrouble || !isWell(child)));
      if ((wanted || onlyTrouble) && fitting.length === 0 && !(named && !onlyTrouble)) continue;
      items.push({ bot, child: null });
      if (this.isOpen(bot.name) || ((wanted || onlyTrouble) && !named)) for (const child of fitting) items.push({ bot, child });
    }
    return items;
  }

  render() {
    const { bots } = this.store;
    const children = [...bots.values()].reduce((total, bot) => total + bot.children.length, 0);
    this.bar.hidden = bots.size + children <= MANY;
    setText(this.summary, text.bots.summary(bots.size, children));
    this.list.show(this.items());
    this.empty.hidden = bots.size > 0;
    this.list.scroller.hidden = bots.size === 0;
    if (bots.size === 0) this.renderEmpty();
  }

  renderEmpty() {
    const hasAccounts = this.store.accounts.size > 0;
    const state = `${hasAccounts} ${maySend()}`;
    if (this.empty.dataset.state === state) return;
    this.empty.dataset.state = state;
    const add = h("button", { class: "go trades", type: "button", on: { click: () => this.actions.add() } }, icon("plus"), text.bots.emptyAction);
    this.empty.replaceChildren(h("p", {}, hasAccounts ? text.bots.empty : text.bots.noAccounts), hasAccounts ? add : "");
  }

  /** Up and down choose, left and right close and open. @param {KeyboardEvent} event */
  key(event) {
    if (event.target !== this.list.scroller) return;
    const { items } = this.list;
    const at = items.findIndex(({ bot, child }) => bot.name === this.choice.bot && (child === null ? !this.isOpen(bot.name) || this.choice.child === "" : child.account === this.choice.child));
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      const next = items[Math.min(items.length - 1, Math.max(0, at + step))];
      if (next) {
        this.actions.choose({ bot: next.bot.name, child: next.child?.account ?? next.bot.children[0]?.account ?? "" });
        this.list.scroller.scrollTop = Math.max(0, items.indexOf(next) * ROW - this.list.scroller.clientHeight / 2);
      }
    } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") this.toggle(this.choice.bot, event.key === "ArrowRight");
    else return;
    event.preventDefault();
  }

  /** Start or stop, with its plan. @param {string} name */
  async startOrStop(name) {
    const bot = this.store.bots.get(name);
    if (!bot || this.busy.has(name)) return;
    this.busy.add(name);
    this.render();
    try {
      const settings = /** @type {import("./types.js").BotSettings[]} */ (await api.bots()).find((one) => one.name === name);
      if (settings) await (bot.status === "Working" ? stopDialog(name, settings) : startDialog(name, settings));
    } catch (error) {
      void failureDialog(/** @type {Error} */ (error).message);
    } finally {
      this.busy.delete(name);
      this.render();
    }
  }
}

/** @param {ChildView} child */
const isWell = (child) => HEALTH_GOOD.has(child.health);

/** One row: of a bot, or of one of its children, as it is needed. */
class Row {
  /** @param {BotsTable} table */
  constructor(table) {
    this.table = table;
    /** @type {Item | null} */
    this.item = null;
    const button = (/** @type {string} */ kind, /** @type {(name: string) => void} */ act, /** @type {any[]} */ ...content) =>
      h("button", { type: "button", class: kind, on: { click: (/** @type {Event} */ event) => { event.stopPropagation(); if (this.item) act(this.item.bot.name); } } }, ...content);
    this.cells = Object.fromEntries(COLUMNS.map((column) => [column, h("span", { role: "gridcell", class: `c-${column}` })]));
    this.twisty = button("plain twisty", (name) => table.toggle(name), icon("chevron"));
    this.pick = button("plain name", () => this.choose());
    this.pickChild = button("plain child", () => this.choose());
    this.branch = h("span", { class: "branch", "aria-hidden": "true" });
    this.health = h("span", { class: "health" });
    this.words = h("span", { class: "words" });
    this.status = h("span", { class: "status" });
    this.message = h("span", { class: "message" });
    this.action = button("small", (name) => void table.startOrStop(name));
    this.action.dataset.act = "toggle";
    this.settings = button("plain sign", (name) => table.actions.settings(name), icon("gear"));
    this.settings.dataset.act = "settings";
    this.remove = button("plain sign danger trades", (name) => void deleteDialog(name, table.store.bots.get(name)?.status === "Working"), icon("bin"));
    this.remove.dataset.act = "delete";
    this.line = h("div", { class: "bots-row", role: "row", on: { click: () => this.choose() } }, ...Object.values(this.cells));
    const { cells } = this;
    cells.name.append(this.twisty, this.pick);
    cells.children.append(this.branch, this.pickChild, this.words, this.health);
    cells.status.append(this.status, this.message);
    cells.action.append(this.action);
    cells.settings.append(this.settings);
    cells.remove.append(this.remove);
  }

  choose() {
    if (!this.item) return;
    const { bot, child } = this.item;
    const { choice } = this.table;
    this.table.actions.choose({ bot: bot.name, child: child?.account ?? (choice.bot === bot.name ? choice.child : (bot.children[0]?.account ?? "")) });
  }

  /** @param {Item} item */
  write(item) {
    this.item = item;
    const { bot, child } = item;
    const isChild = child !== null;
    this.line.classList.toggle("row-bot", !isChild);
    this.line.classList.toggle("row-child", isChild);
    this.line.setAttribute("aria-level", isChild ? "2" : "1");
    for (const part of [this.twisty, this.pick, this.status, this.action, this.settings, this.remove, this.words]) part.hidden = isChild;
    for (const part of [this.branch, this.pickChild, this.message]) part.hidden = !isChild;
    if (child) this.writeChild(bot, child);
    else this.writeBot(bot);
  }

  /** @param {BotView} bot */
  writeBot(bot) {
    const { table, cells } = this;
    const working = bot.status === "Working";
    const open = table.isOpen(bot.name);
    const { name } = bot;
    this.line.dataset.bot = name;
    this.line.dataset.status = bot.status;
    delete this.line.dataset.child;
    this.line.classList.toggle("chosen", table.choice.bot === name);
    this.line.setAttribute("aria-expanded", String(open));
    this.twisty.setAttribute("aria-label", open ? text.bots.close(name) : text.bots.open(name));
    this.twisty.classList.toggle("open", open);
    setText(this.pick, name);
    this.pick.setAttribute("aria-pressed", String(table.choice.bot === name));
    setText(cells.parent, accountText(table.store, bot.parent));
    const many = bot.children.length > 1;
    setText(this.words, many && open ? text.bots.several(bot.children.length) : bot.children.map((child) => child.account).join(", "));
    const ill = bot.children.filter((child) => !isWell(child));
    showHealth(this.health, many ? healthWords(bot.children.length, ill) : (bot.children[0]?.health ?? ""), ill.length === 0);
    setText(cells.mode, many && open ? "" : modesText(bot.children));
    showCounts(cells.counts, bot);
    setText(cells.latency, latency(bot.latency_us));
    setText(this.status, bot.status);
    this.status.className = `status ${working ? "working" : "stopped"}`;
    setText(this.action, working ? text.bots.stop : text.bots.start);
    this.action.className = `small trades ${working ? "halt" : "go"}`;
    this.action.setAttribute("aria-label", working ? text.bots.stopBot(name) : text.bots.startBot(name));
    this.action.disabled = table.busy.has(name) || table.store.connection !== "connected";
    for (const [part, words] of [[this.settings, text.bots.settingsOf(name)], [this.remove, text.bots.removeBot(name)]]) {
      part.setAttribute("aria-label", words);
      part.title = words;
    }
  }

  /** @param {BotView} bot @param {ChildView} child */
  writeChild(bot, child) {
    const { table, cells } = this;
    const chosen = table.choice.bot === bot.name && table.choice.child === child.account;
    this.line.dataset.bot = bot.name;
    this.line.dataset.child = child.account;
    delete this.line.dataset.status;
    this.line.removeAttribute("aria-expanded");
    this.line.classList.toggle("chosen", chosen);
    setText(this.pickChild, child.account);
    this.pickChild.setAttribute("aria-pressed", String(chosen));
    this.pickChild.setAttribute("aria-label", text.bots.pickChild(child.account));
    setText(cells.parent, "");
    showHealth(this.health, child.health, isWell(child));
    setText(cells.mode, text.mode(child));
    showCounts(cells.counts, child);
    setText(cells.latency, latency(child.latency_us));
    setText(this.message, child.message ?? "");
    this.message.title = child.message ?? "";
  }
}

/** @param {HTMLElement} element @param {string} words @param {boolean} well */
function showHealth(element, words, well) {
  setText(element, words);
  element.className = `health ${well ? "good" : "attention"}`;
  element.hidden = words === "";
}

/** @param {number} all @param {ChildView[]} ill */
function healthWords(all, ill) {
  if (ill.length === 0) return all === 0 ? "" : text.bots.allWell;
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const child of ill) counts.set(child.health, (counts.get(child.health) ?? 0) + 1);
  return [...counts].map(([health, times]) => `${times} ${health}`).join(", ");
}

/** @param {HTMLElement} cell @param {{copied?: number, missed?: number}} counts */
function showCounts(cell, counts) {
  const missed = counts.missed ?? 0;
  if (!cell.firstChild) cell.append(h("span", { class: "copied" }), h("span", { class: "slash" }, " / "), h("span", { class: "missed" }));
  setText(/** @type {HTMLElement} */ (cell.firstChild), count(counts.copied ?? 0));
  setText(/** @type {HTMLElement} */ (cell.lastChild), count(missed));
  /** @type {HTMLElement} */ (cell.lastChild).classList.toggle("some", missed > 0);
}

/** @param {import("./store.js").Store} store @param {string} key */
function accountText(store, key) {
  const account = store.accounts.get(key);
  return account ? `${key} (${store.kindTitle(account.kind)})` : key;
}

/** @param {ChildView[]} children */
function modesText(children) {
  const modes = [...new Set(children.map(text.mode))];
  return modes.length === 1 ? modes[0] : modes.map((mode) => mode.replace(/^Multiplier |^Percentage /, "")).join(" · ");
}
