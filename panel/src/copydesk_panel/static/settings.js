// The dialogs "New bot" and "Settings": accounts, what the bot does, how its children copy. Every change is shown before it
// is saved, and what a person typed stays until it is accepted.

import { AccountsForm } from "./accounts.js";
import { api } from "./api.js";
import { errorLine, showDialog, showError } from "./dialog.js";
import { h } from "./dom.js";
import { plain } from "./format.js";
import { changes, policies } from "./policies.js";
import { PolicyForm } from "./policyform.js";
import { PreviewBox } from "./preview.js";
import { text } from "./text.js";
import { TradingForm } from "./trading.js";

/** @typedef {import("./types.js").BotSettings} BotSettings */

const PAGES = /** @type {const} */ (["accounts", "bot", "children", "trading"]);
const SHOWN_CHANGES = 6;

/** @param {import("./store.js").Store} store @param {(name: string) => void} created */
export async function newBotDialog(store, created) {
  const all = await policies();
  return showDialog(text.bot.newTitle, (close) => new SettingsForm(store, all, { name: "", parent: "", children: [] }, text.bot.create, close, async (settings) => {
    await api.addBot({ ...settings, working: false });
    created(settings.name);
  }).elements, "bot-form");
}

/** @param {import("./store.js").Store} store @param {BotSettings} before */
export async function settingsDialog(store, before) {
  const all = await policies();
  return showDialog(text.bot.settingsTitle(before.name), (close) => new SettingsForm(store, all, before, text.bot.save, close, async (settings) => {
    await api.changeBot(before.name, settings);
  }).elements, "bot-form");
}

class SettingsForm {
  /**
   * @param {import("./store.js").Store} store
   * @param {import("./policies.js").Policy[]} all
   * @param {BotSettings} before
   * @param {string} action
   * @param {() => void} close
   * @param {(settings: BotSettings) => Promise<void>} save
   */
  constructor(store, all, before, action, close, save) {
    this.all = all;
    this.before = before;
    this.save = save;
    this.close = close;
    this.isNew = before.name === "";
    /** The bot's own policies as they are being changed. @type {BotSettings} */
    this.bot = structuredClone(before);
    this.chosen = "";
    this.accounts = new AccountsForm(store, before, () => this.changed());
    this.preview = new PreviewBox(() => (this.accounts.incomplete() ? null : { ...this.settings(), name: this.accounts.name.value.trim() || "preview" }));
    this.child = h("select", { name: "policies-of", "aria-label": text.settings.whose, on: { change: () => this.chooseChild(this.child.value) } });
    this.botPolicies = new PolicyForm(all, "bot", () => [this.bot], () => (this.isNew ? [] : [before]), () => this.changed());
    this.childPolicies = new PolicyForm(all, "child", () => this.chosenChildren(), () => this.chosenBefore(), () => this.changed());
    this.trading = new TradingForm(before.children.map((child) => child.account));
    this.tabs = PAGES.map((page) => h("button", { type: "button", role: "tab", id: `tab-${page}`, "aria-controls": `page-${page}`, on: {
      click: () => this.open(page), keydown: (/** @type {KeyboardEvent} */ event) => this.arrow(event) } }, text.settings.pages[page]));
    this.pages = PAGES.map((page) => h("div", { class: "page", role: "tabpanel", id: `page-${page}`, "aria-labelledby": `tab-${page}`, tabindex: "0" }, ...this.content(page)));
    this.list = h("ul", { class: "changes", "aria-label": text.settings.changes });
    this.error = errorLine();
    this.submit = h("button", { type: "submit", class: "go trades" }, action);
    const working = store.bots.get(before.name)?.status === "Working";
    this.form = h("form", { novalidate: true, on: { submit: (/** @type {Event} */ event) => void this.send(event) } },
      h("div", { class: "tabs", role: "tablist" }, ...this.tabs), h("div", { class: "pages" }, ...this.pages),
      h("div", { class: "outcome" }, this.list, working ? h("p", { class: "hint" }, text.bot.workingHint) : null, this.error),
      h("div", { class: "buttons" }, h("button", { type: "button", on: { click: close } }, text.dialog.cancel), this.submit));
    this.tabs[PAGES.indexOf("trading")].hidden = this.isNew; // there is nothing to hold back yet
    this.open("accounts");
    this.changed();
  }

  get elements() {
    return [this.form];
  }

  /** @param {typeof PAGES[number]} page */
  content(page) {
    if (page === "accounts") return [this.accounts.element, this.preview.element];
    if (page === "bot") return [this.botPolicies.element];
    if (page === "trading") return [this.trading.element];
    return [h("label", { class: "whose" }, text.settings.whose, this.child), this.childPolicies.element];
  }

  /** @param {typeof PAGES[number]} page */
  open(page) {
    PAGES.forEach((name, index) => {
      this.tabs[index].setAttribute("aria-selected", String(name === page));
      this.tabs[index].tabIndex = name === page ? 0 : -1;
      this.pages[index].hidden = name !== page;
    });
    if (page === "children") this.offerChildren();
    if (page === "trading") void this.trading.show();
  }

  /** @param {KeyboardEvent} event */
  arrow(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const shown = this.tabs.filter((tab) => !tab.hidden);
    const tab = shown[(shown.indexOf(/** @type {any} */ (event.target)) + step + shown.length) % shown.length];
    this.open(PAGES[this.tabs.indexOf(tab)]);
    tab.focus();
  }

  offerChildren() {
    const accounts = this.accounts.lines.map((line) => line.account.value).filter(Boolean);
    if (!accounts.includes(this.chosen)) this.chosen = "";
    this.child.replaceChildren(h("option", { value: "" }, text.settings.all(accounts.length)), ...accounts.map((account) => h("option", { value: account }, account)));
    this.child.value = this.chosen;
    this.childPolicies.show();
  }

  /** @param {string} account empty for all of them */
  chooseChild(account) {
    this.chosen = account;
    this.childPolicies.show();
  }

  chosenChildren() {
    return this.accounts.lines.filter((line) => !this.chosen || line.account.value === this.chosen).map((line) => line.policies);
  }

  chosenBefore() {
    return this.accounts.lines.filter((line) => !this.chosen || line.account.value === this.chosen)
      .map((line) => this.before.children.find((child) => child.account === line.account.value));
  }

  /** @returns {BotSettings} */
  settings() {
    return { ...this.bot, name: this.accounts.name.value.trim(), parent: this.accounts.parent.value, children: this.accounts.lines.map((line) => line.settings()) };
  }

  changed() {
    if (!this.preview) return; // while it is being built
    this.preview.changed();
    this.list?.replaceChildren(...(this.isNew ? [] : this.changeLines()));
  }

  changeLines() {
    const { before } = this;
    const after = this.settings();
    const lines = /** @type {[string, string, string, string][]} */ ([]);
    if (after.name !== before.name) lines.push(["", text.bot.name, before.name, after.name]);
    if (after.parent !== before.parent) lines.push(["", text.bot.parent, before.parent, after.parent]);
    const are = new Map(after.children.map((child) => [child.account, child]));
    for (const child of before.children) if (!are.has(child.account)) lines.push([child.account, text.settings.removed, "", ""]);
    for (const [account, child] of are) {
      const was = before.children.find((one) => one.account === account);
      if (!was) lines.push([account, text.settings.added, "", ""]);
      else if (was.mode !== child.mode || plain(String(was.value)) !== plain(child.value)) lines.push([account, text.bot.mode, text.mode(was), text.mode(child)]);
    }
    const written = (/** @type {import("./policies.js").Policy} */ policy, /** @type {string} */ value) => (policy.kind === "choice" ? text.policy(value) : value || text.settings.none);
    /** The same change of several children is told once. @type {Map<string, {whose: string[], policy: import("./policies.js").Policy, was: string, is: string}>} */
    const alike = new Map();
    for (const { whose, policy, before: was, after: is } of changes(this.all, before, after)) {
      const key = [policy.of, policy.name, was, is].join("\n");
      const found = alike.get(key) ?? { whose: [], policy, was, is };
      found.whose.push(whose);
      alike.set(key, found);
    }
    for (const { whose, policy, was, is } of alike.values()) lines.push([whose.length > 3 ? text.settings.several(whose.length) : whose.filter(Boolean).join(", "), policy.title, written(policy, was), written(policy, is)]);
    const shown = lines.slice(0, SHOWN_CHANGES).map(([whose, what, was, is]) => h("li", {}, whose ? h("span", { class: "dim" }, `${whose} · `) : null, what,
      was || is ? h("span", {}, " ", h("s", {}, was), " → ", h("b", {}, is)) : null));
    if (lines.length > SHOWN_CHANGES) shown.push(h("li", { class: "dim" }, text.settings.moreChanges(lines.length - SHOWN_CHANGES)));
    return shown;
  }

  /** @param {Event} event */
  async send(event) {
    event.preventDefault();
    const problem = this.accounts.problem();
    if (problem) {
      this.open("accounts");
      showError(this.error, problem[0]);
      problem[1].focus();
      return;
    }
    showError(this.error, "");
    this.submit.disabled = true;
    try {
      await this.save(this.settings());
      this.close();
    } catch (error) {
      showError(this.error, /** @type {Error} */ (error).message);
      this.submit.disabled = false;
    }
  }
}
