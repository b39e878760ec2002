// Who copies whom, and how much: name, parent, children line by line. The pickers offer only what may be chosen.

import { h, icon } from "./dom.js";
import { isDecimal, plain } from "./format.js";
import { text } from "./text.js";

const MANY = 30;

/** @typedef {import("./types.js").BotSettings} BotSettings */

export class AccountsForm {
  /**
   * @param {import("./store.js").Store} store
   * @param {BotSettings} before what the form begins with
   * @param {() => void} changed
   */
  constructor(store, before, changed) {
    this.store = store;
    this.changed = changed;
    /** @type {ChildLine[]} */
    this.lines = [];
    this.name = h("input", { name: "name", autocomplete: "off", spellcheck: "false", maxlength: "80", autofocus: true, value: before.name, on: { input: changed } });
    this.parent = h("select", { name: "parent", on: { change: () => this.refresh() } });
    this.hint = h("p", { class: "hint" });
    this.list = h("div", { class: "children" });
    this.add = h("button", { type: "button", class: "small", data: { act: "add-child" }, on: { click: () => this.addLine().account.focus() } }, icon("plus"), text.bot.addChild);
    this.element = h("div", { class: "accounts" },
      h("div", { class: "two" }, h("label", {}, text.bot.name, this.name), h("label", {}, text.bot.parent, this.parent)),
      h("fieldset", {}, h("legend", {}, text.bot.children), this.hint, this.list, this.add,
        h("dl", { class: "modes" }, h("dt", {}, text.bot.multiplier), h("dd", {}, text.bot.multiplierHint), h("dt", {}, text.bot.percentage), h("dd", {}, text.bot.percentageHint))));
    fillAccounts(store, this.parent, [...store.accounts.values()], before.parent);
    for (const child of before.children) this.append(child);
    if (this.lines.length === 0) this.append();
    this.refresh();
  }

  /** @param {import("./types.js").ChildSettings} [child] */
  append(child) {
    const line = new ChildLine(this, child);
    this.lines.push(line);
    this.list.append(line.element);
    return line;
  }

  addLine() {
    const line = this.append();
    this.refresh();
    return line;
  }

  /** @param {ChildLine} line */
  removeLine(line) {
    this.lines.splice(this.lines.indexOf(line), 1);
    line.element.remove();
    this.refresh();
    this.add.focus();
  }

  /** Offer in every picker what may be chosen there: same connection kind, not the parent, not twice. */
  refresh() {
    const parent = this.store.accounts.get(this.parent.value);
    const offered = parent ? [...this.store.accounts.values()].filter((account) => account.kind === parent.kind && account.key !== parent.key) : [];
    const taken = new Set(this.lines.map((line) => line.account.value));
    this.lines.forEach((line, index) => {
      const own = line.account.value || line.wanted;
      const fill = (/** @type {import("./types.js").Account[]} */ accounts) => fillAccounts(this.store, line.account, accounts, line.account.value || line.wanted);
      const free = () => offered.filter((account) => account.key === own || !taken.has(account.key));
      const mine = this.store.accounts.get(own);
      fill(this.lines.length <= MANY ? free() : mine && offered.includes(mine) ? [mine] : []);
      line.account.onfocus = this.lines.length <= MANY ? null : () => fill(free()); // hundreds of pickers are filled when they are used
      line.account.disabled = !parent;
      line.number(index + 1, this.lines.length > 1);
    });
    this.add.disabled = !parent || this.lines.length >= offered.length;
    this.hint.textContent = !parent ? text.bot.chooseParentFirst
      : offered.length === 0 ? text.bot.noOther
      : this.lines.length >= offered.length ? text.bot.allUsed
      : text.bot.sameKind(this.store.kindTitle(parent.kind));
    this.changed();
  }

  /** The first thing that keeps the form from being sent, with its field. @returns {[string, any] | null} */
  problem() {
    return this.name.value.trim() ? this.incomplete() : [text.bot.nameMissing, this.name];
  }

  /** The same without the name: who copies whom has to be told. @returns {[string, any] | null} */
  incomplete() {
    if (!this.parent.value) return [text.bot.parentMissing, this.parent];
    for (const [index, line] of this.lines.entries()) {
      if (!line.account.value) return [text.bot.childMissing(index + 1), line.account];
      if (!isDecimal(line.value.value.trim())) return [text.bot.valueWrong(index + 1, line.value.value.trim()), line.value];
    }
    return null;
  }
}

class ChildLine {
  /** @param {AccountsForm} form @param {import("./types.js").ChildSettings} [before] */
  constructor(form, before) {
    this.changed = () => form.changed();
    /** All of its settings; those that this form does not show are changed elsewhere. @type {any} */
    this.policies = structuredClone(before ?? {});
    this.wanted = before?.account ?? "";
    this.account = h("select", { name: "child", on: { change: () => form.refresh() } });
    this.mode = h("select", { name: "mode", on: { change: () => this.explain() } },
      h("option", { value: "multiplier" }, text.bot.multiplier), h("option", { value: "percentage" }, text.bot.percentage));
    this.mode.value = before?.mode ?? "multiplier";
    this.value = h("input", { name: "value", inputmode: "decimal", autocomplete: "off", value: before ? plain(before.value) : "1", on: { input: () => this.explain() } });
    this.unit = h("span", { class: "unit", "aria-hidden": "true" });
    this.note = h("p", { class: "note warning", role: "status" });
    this.remove = h("button", { type: "button", class: "plain sign danger", on: { click: () => form.removeLine(this) } }, icon("cross"));
    this.element = h("div", { class: "child-line", role: "group" },
      this.account, this.mode, h("span", { class: "with-unit" }, this.unit, this.value), this.remove, this.note);
    this.explain();
  }

  /** @param {number} number @param {boolean} removable */
  number(number, removable) {
    this.element.setAttribute("aria-label", text.bot.child(number));
    this.account.setAttribute("aria-label", `${text.bot.child(number)}: ${text.bot.childAccount}`);
    this.mode.setAttribute("aria-label", `${text.bot.child(number)}: ${text.bot.mode}`);
    this.value.setAttribute("aria-label", `${text.bot.child(number)}: ${text.bot.value}`);
    this.remove.setAttribute("aria-label", text.bot.removeChild(number));
    this.remove.title = text.bot.removeChild(number);
    this.remove.disabled = !removable;
  }

  explain() {
    const percentage = this.mode.value === "percentage";
    this.unit.textContent = percentage ? "%" : "×";
    const reverses = !percentage && this.value.value.trim().startsWith("-");
    this.note.textContent = reverses ? text.bot.reverses : "";
    this.note.hidden = !reverses;
    this.changed();
  }

  /** @returns {import("./types.js").ChildSettings} */
  settings() {
    return { ...this.policies, account: this.account.value, mode: this.mode.value, value: this.value.value.trim() };
  }
}

/**
 * Fill a picker with accounts, grouped by connection kind; the chosen one stays chosen where it is offered.
 * @param {import("./store.js").Store} store
 * @param {any} select
 * @param {import("./types.js").Account[]} accounts
 * @param {string} chosen
 */
function fillAccounts(store, select, accounts, chosen) {
  const kinds = [...new Set(accounts.map((account) => account.kind))].sort();
  const groups = kinds.map((kind) => h("optgroup", { label: store.kindTitle(kind) },
    ...accounts.filter((account) => account.kind === kind).map((account) => h("option", { value: account.key }, accountLabel(account)))));
  select.replaceChildren(h("option", { value: "" }, text.bot.choose), ...groups);
  select.value = accounts.some((account) => account.key === chosen) ? chosen : "";
}

/** @param {import("./types.js").Account} account */
function accountLabel(account) {
  return account.rehearsal ? text.bot.rehearsed(account.key) : account.key;
}
