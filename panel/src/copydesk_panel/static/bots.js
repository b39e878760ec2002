// The table of bots. One row per bot, kept and updated in place; the chosen bot shows its children line by line beneath it.

import { api } from "./api.js";
import { confirmDialog, failureDialog } from "./dialog.js";
import { h, icon, setText } from "./dom.js";
import { count, latency, plain } from "./format.js";
import { text } from "./text.js";

const COLUMNS = /** @type {const} */ (["name", "parent", "children", "mode", "counts", "latency", "status", "action", "settings", "remove"]);
const HEALTH_GOOD = new Set(["in sync", "in-sync", "ok", ""]);

/** @typedef {{bot: string, child: string}} Choice */

/** The words for how much a child copies. @param {{mode: string, value: string}} child */
export function modeText(child) {
  const value = plain(child.value);
  return child.mode === "percentage" ? text.bots.percentage(value) : text.bots.multiplier(value);
}

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
    /** @type {Map<string, BotRow>} */
    this.rows = new Map();
    this.body = h("tbody");
    this.empty = h("div", { class: "empty" });
    const heads = COLUMNS.map((column) => h("th", { scope: "col", class: `c-${column}` }, text.bots.columns[column]));
    this.table = h("table", { class: "bots", "aria-label": text.bots.title }, h("thead", {}, h("tr", {}, ...heads)), this.body);
    root.setAttribute("aria-label", text.bots.title);
    root.append(h("div", { class: "scroll" }, this.table, this.empty));
    store.on(["bots", "accounts"], () => this.render());
  }

  /** @param {Choice} choice */
  setChoice(choice) {
    this.choice = choice;
    this.render();
  }

  render() {
    const { bots } = this.store;
    for (const [name, row] of this.rows) {
      if (bots.has(name)) continue;
      row.remove();
      this.rows.delete(name);
    }
    for (const bot of bots.values()) {
      let row = this.rows.get(bot.name);
      if (!row) {
        row = new BotRow(this, bot.name);
        this.rows.set(bot.name, row);
        this.body.append(row.group);
      }
      row.update(bot, bot.name === this.choice.bot ? this.choice.child : null);
    }
    this.renderEmpty(bots.size === 0);
  }

  /** @param {boolean} isEmpty */
  renderEmpty(isEmpty) {
    this.empty.hidden = !isEmpty;
    this.table.hidden = isEmpty;
    if (!isEmpty) return;
    const hasAccounts = this.store.accounts.size > 0;
    const add = h("button", { class: "go", type: "button", on: { click: () => this.actions.add() } }, icon("plus"), text.bots.emptyAction);
    this.empty.replaceChildren(h("p", {}, hasAccounts ? text.bots.empty : text.bots.noAccounts), hasAccounts ? add : "");
  }
}

class BotRow {
  /** @param {BotsTable} table @param {string} name */
  constructor(table, name) {
    this.table = table;
    this.name = name;
    this.busy = false;
    /** @type {ChildRow[]} */
    this.children = [];
    this.cells = Object.fromEntries(COLUMNS.map((column) => [column, h("td", { class: `c-${column}` })]));
    this.status = h("span", { class: "status" });
    this.action = h("button", { type: "button", class: "small", on: { click: (/** @type {Event} */ event) => this.toggle(event) } });
    this.pick = h("button", { type: "button", class: "plain name", on: { click: () => this.choose() } });
    this.line = h("tr", { class: "bot", data: { bot: name }, on: { click: () => this.choose() } }, ...Object.values(this.cells));
    this.group = document.createDocumentFragment();
    this.fill();
    this.group.append(this.line);
  }

  fill() {
    const { cells, name } = this;
    const stopped = (/** @type {() => void} */ action) => (/** @type {Event} */ event) => {
      event.stopPropagation();
      action();
    };
    cells.name.append(this.pick);
    cells.status.append(this.status);
    cells.action.append(this.action);
    cells.settings.append(
      h("button", { type: "button", class: "plain sign", "aria-label": text.bots.settingsOf(name), title: text.bots.settingsOf(name),
        data: { act: "settings" }, on: { click: stopped(() => this.table.actions.settings(name)) } }, icon("gear")),
    );
    cells.remove.append(
      h("button", { type: "button", class: "plain sign danger", "aria-label": text.bots.removeBot(name), title: text.bots.removeBot(name),
        data: { act: "delete" }, on: { click: stopped(() => this.remove_()) } }, icon("bin")),
    );
    this.action.dataset.act = "toggle";
    setText(this.pick, name);
  }

  remove() {
    this.line.remove();
    for (const child of this.children) child.line.remove();
  }

  choose() {
    const bot = this.table.store.bots.get(this.name);
    if (!bot) return;
    const { choice } = this.table;
    this.table.actions.choose({ bot: this.name, child: choice.bot === this.name ? choice.child : (bot.children[0]?.account ?? "") });
  }

  /** @param {import("./types.js").BotView} bot @param {string | null} chosenChild null where another bot is chosen */
  update(bot, chosenChild) {
    const { store } = this.table;
    const working = bot.status === "Working";
    this.line.classList.toggle("chosen", chosenChild !== null);
    this.line.dataset.status = bot.status;
    this.pick.setAttribute("aria-pressed", String(chosenChild !== null));
    setText(this.cells.parent, accountText(store, bot.parent));
    setText(this.cells.children, bot.children.length === 1 || chosenChild === null ? bot.children.map((child) => child.account).join(", ") : text.bots.several(bot.children.length));
    setText(this.cells.mode, bot.children.length === 1 || chosenChild === null ? modesText(bot.children) : "");
    showCounts(this.cells.counts, bot);
    setText(this.cells.latency, latency(bot.latency_us));
    setText(this.status, bot.status);
    this.status.className = `status ${working ? "working" : "stopped"}`;
    setText(this.action, working ? text.bots.stop : text.bots.start);
    this.action.className = `small ${working ? "halt" : "go"}`;
    this.action.setAttribute("aria-label", working ? text.bots.stopBot(bot.name) : text.bots.startBot(bot.name));
    this.action.disabled = this.busy;
    this.updateChildren(bot, chosenChild);
  }

  /** @param {import("./types.js").BotView} bot @param {string | null} chosenChild */
  updateChildren(bot, chosenChild) {
    const wanted = chosenChild === null ? [] : bot.children;
    while (this.children.length > wanted.length) this.children.pop()?.line.remove();
    wanted.forEach((child, index) => {
      if (!this.children[index]) {
        const row = new ChildRow(this.table, this.name);
        (this.children[index - 1]?.line ?? this.line).after(row.line);
        this.children.push(row);
      }
      this.children[index].update(child, child.account === chosenChild);
    });
  }

  /** @param {Event} event */
  async toggle(event) {
    event.stopPropagation();
    const bot = this.table.store.bots.get(this.name);
    if (!bot || this.busy) return;
    this.busy = true;
    this.action.disabled = true;
    try {
      await (bot.status === "Working" ? api.stopBot(this.name) : api.startBot(this.name));
    } catch (error) {
      void failureDialog(/** @type {Error} */ (error).message);
    } finally {
      this.busy = false;
      this.action.disabled = false;
    }
  }

  async remove_() {
    const working = this.table.store.bots.get(this.name)?.status === "Working";
    await confirmDialog({
      title: text.confirm.deleteTitle(this.name),
      body: [text.confirm.deleteBody, working ? text.confirm.deleteWorking : ""].filter(Boolean),
      action: text.confirm.delete,
      run: async () => {
        if (this.table.store.bots.get(this.name)?.status === "Working") await api.stopBot(this.name);
        await api.removeBot(this.name);
      },
    });
  }
}

class ChildRow {
  /** @param {BotsTable} table @param {string} bot */
  constructor(table, bot) {
    this.account = "";
    this.pick = h("button", { type: "button", class: "plain child" });
    this.health = h("span", { class: "health" });
    this.message = h("td", { class: "c-message", colspan: "4" });
    this.mode = h("td", { class: "c-mode" });
    this.counts = h("td", { class: "c-counts" });
    this.latency = h("td", { class: "c-latency" });
    this.line = h("tr", { class: "child", on: { click: () => table.actions.choose({ bot, child: this.account }) } },
      h("td", { colspan: "2" }), h("td", { class: "c-children" }, h("span", { class: "branch", "aria-hidden": "true" }), this.pick, this.health),
      this.mode, this.counts, this.latency, this.message);
  }

  /** @param {import("./types.js").ChildView} child @param {boolean} chosen */
  update(child, chosen) {
    this.account = child.account;
    this.line.dataset.child = child.account;
    this.line.classList.toggle("chosen", chosen);
    this.pick.setAttribute("aria-pressed", String(chosen));
    this.pick.setAttribute("aria-label", text.bots.pickChild(child.account));
    setText(this.pick, child.account);
    setText(this.health, child.health);
    this.health.className = `health ${HEALTH_GOOD.has(child.health) ? "good" : "attention"}`;
    setText(this.mode, modeText(child));
    showCounts(this.counts, child);
    setText(this.latency, latency(child.latency_us));
    setText(this.message, child.message ?? "");
    this.message.title = child.message ?? "";
  }
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

/** @param {import("./types.js").ChildView[]} children */
function modesText(children) {
  const modes = children.map(modeText);
  return new Set(modes).size === 1 ? modes[0] : modes.map((mode) => mode.replace(/^Multiplier |^Percentage /, "")).join(" · ");
}
