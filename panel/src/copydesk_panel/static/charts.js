// The two charts side by side: the parent of the chosen bot, and one of its children. Symbol and interval hold for both.

import { api } from "./api.js";
import { h, setText } from "./dom.js";
import { LineDrag } from "./drag.js";
import { INTERVALS, link, Pane } from "./pane.js";
import { text } from "./text.js";

const FIRST_SYMBOLS = ["BTCUSDT", "XBTUSD", "BTC/USDT", "BTCUSD"];

export class Charts {
  /**
   * @param {{parent: HTMLElement, child: HTMLElement}} roots
   * @param {import("./store.js").Store} store
   * @param {{chooseChild: (child: string) => void, subject: (account: string, symbol: string, instruments: import("./types.js").Instrument[]) => void}} actions
   */
  constructor(roots, store, actions) {
    this.store = store;
    this.actions = actions;
    this.parentKey = "";
    this.childKey = "";
    this.symbol = "";
    /** @type {import("./pane.js").Subject["interval"]} */
    this.interval = "1m";
    /** The connection states of both accounts when their charts were last asked for. */
    this.states = "";
    /** @type {Map<string, import("./types.js").Instrument[]>} */
    this.instruments = new Map();
    this.symbolPicker = h("select", { name: "chart-symbol", "aria-label": text.charts.symbol, on: { change: () => void this.setSymbol(this.symbolPicker.value) } });
    this.symbolPicker.hidden = true;
    this.intervals = INTERVALS.map((interval) => h("button", { type: "button", data: { interval }, on: { click: () => void this.setInterval(interval) } }, interval));
    this.segments = h("div", { class: "segments", role: "group", "aria-label": text.charts.interval, hidden: true }, ...this.intervals);
    this.childPicker = h("select", { name: "chart-child", "aria-label": text.charts.childPicker, on: { change: () => actions.chooseChild(this.childPicker.value) } });
    this.parent = new Frame(roots.parent, text.charts.parent, store,
      [this.symbolPicker, this.segments]);
    this.child = new Frame(roots.child, text.charts.child, store, [this.childPicker]);
    link(this.parent.pane, this.child.pane);
    this.drag = new LineDrag(this.parent.pane, store, (sentence) => this.parent.tell(sentence));
    store.on(["accounts", "fills", "view"], () => this.draw());
    store.on(["accounts"], () => this.connected());
    store.on(["prices"], () => this.live());
    store.on(["view"], () => void this.reload());
    this.markInterval();
  }

  get frames() {
    return [this.parent, this.child];
  }

  /** @param {string} parent @param {string} child @param {string[]} children */
  async setBot(parent, child, children) {
    if (this.childPicker.dataset.filled !== children.join()) {
      this.childPicker.replaceChildren(...children.map((key) => h("option", { value: key }, key)));
      this.childPicker.dataset.filled = children.join();
    }
    this.childPicker.hidden = children.length === 0;
    this.childPicker.value = child;
    if (parent === this.parentKey && child === this.childKey && this.symbol) return;
    this.parentKey = parent;
    this.childKey = child;
    await this.reload();
  }

  /** An account that is connected now, and was not, has its chart fetched. */
  connected() {
    const states = [this.parentKey, this.childKey].map((key) => this.store.accounts.get(key)?.state).join();
    if (states === this.states) return;
    this.states = states;
    void this.reload();
  }

  /** Fetch what is needed and show it. */
  async reload() {
    this.symbolPicker.hidden = this.segments.hidden = !this.parentKey;
    if (!this.parentKey) {
      for (const frame of this.frames) void frame.show({ account: "", symbol: "", interval: this.interval, tick: "0.01" }, false);
      this.actions.subject("", "", []);
      return;
    }
    const account = this.store.accounts.get(this.parentKey);
    if (account?.state !== "connected") {
      for (const frame of this.frames) frame.tell(text.charts.notConnected(this.parentKey, account?.message ?? ""));
      return;
    }
    try {
      const key = this.parentKey;
      const instruments = /** @type {import("./types.js").Instrument[]} */ (await api.instruments(key));
      if (key !== this.parentKey) return;
      this.instruments.set(key, instruments);
      this.fillSymbols(instruments);
      await this.show(true);
    } catch (error) {
      for (const frame of this.frames) frame.tell(/** @type {Error} */ (error).message);
    }
  }

  /** @param {import("./types.js").Instrument[]} instruments */
  fillSymbols(instruments) {
    const symbols = instruments.filter((instrument) => instrument.trading !== false).map((instrument) => instrument.symbol);
    if (!symbols.includes(this.symbol)) this.symbol = this.firstSymbol(symbols);
    if (this.symbolPicker.dataset.filled !== symbols.join()) {
      this.symbolPicker.replaceChildren(...symbols.map((symbol) => h("option", { value: symbol }, symbol)));
      this.symbolPicker.dataset.filled = symbols.join();
    }
    this.symbolPicker.value = this.symbol;
  }

  /** What the parent holds or has orders in, else a well-known one. @param {string[]} symbols */
  firstSymbol(symbols) {
    const account = this.store.accounts.get(this.parentKey);
    const held = [...(account?.positions.values() ?? [])].filter((position) => Number(position.quantity) !== 0).map((position) => position.symbol);
    const ordered = [...(account?.orders.values() ?? [])].map((order) => order.terms.symbol);
    const filled = (this.store.fills.get(this.parentKey) ?? []).slice(-1).map((fill) => fill.symbol);
    return [...held, ...ordered, ...filled, ...FIRST_SYMBOLS].find((symbol) => symbols.includes(symbol)) ?? symbols[0] ?? "";
  }

  /** @param {string} symbol */
  async setSymbol(symbol) {
    this.symbol = symbol;
    this.symbolPicker.value = symbol;
    await this.show();
  }

  /** @param {import("./pane.js").Subject["interval"]} interval */
  async setInterval(interval) {
    this.interval = interval;
    this.markInterval();
    await this.show();
  }

  markInterval() {
    for (const button of this.intervals) button.setAttribute("aria-pressed", String(button.dataset.interval === this.interval));
  }

  /** @param {boolean} [again] read anew what is shown already */
  async show(again = false) {
    const instruments = this.instruments.get(this.parentKey) ?? [];
    const tick = instruments.find((instrument) => instrument.symbol === this.symbol)?.price_tick ?? "0.01";
    this.actions.subject(this.parentKey, this.symbol, instruments.filter((instrument) => instrument.trading !== false));
    const common = { symbol: this.symbol, interval: this.interval, tick };
    await Promise.all([this.parent.show({ account: this.parentKey, ...common }, again), this.child.show({ account: this.childKey, ...common }, again)]);
  }

  draw() {
    for (const frame of this.frames) {
      frame.pane.draw();
      frame.head();
    }
  }

  live() {
    for (const frame of this.frames) frame.live();
  }
}

/** A chart with its header line. */
class Frame {
  /** @param {HTMLElement} root @param {string} title @param {import("./store.js").Store} store @param {any[]} controls */
  constructor(root, title, store, controls) {
    this.root = root;
    this.title = title;
    this.store = store;
    this.controls = controls;
    this.lastPrice = 0;
    this.account = h("span", { class: "account" });
    this.badge = h("span", { class: "badge", hidden: true }, text.rehearsal.badge);
    this.price = h("span", { class: "price" });
    this.note = h("p", { class: "note" });
    this.credit = h("a", { class: "credit", href: "https://www.tradingview.com/", target: "_blank", rel: "noopener noreferrer" }, text.charts.attribution);
    const canvas = h("div", { class: "canvas" });
    root.append(h("div", { class: "bar" }, h("span", { class: "mark", "aria-hidden": "true" }), h("h2", {}, title), this.account, ...controls,
      h("span", { class: "push" }), this.price), h("div", { class: "plot" }, canvas, this.badge, this.note, this.credit));
    this.pane = new Pane(canvas, store);
    canvas.after(this.pane.above, this.pane.below);
  }

  /** @param {import("./pane.js").Subject} subject @param {boolean} again */
  async show(subject, again) {
    this.lastPrice = 0;
    this.root.setAttribute("aria-label", text.charts.describe(this.title, subject.account));
    this.head(subject.account);
    const account = this.store.accounts.get(subject.account);
    if (!subject.account) this.tell(text.charts.noBot);
    else if (account?.state !== "connected") {
      this.tell(text.charts.notConnected(subject.account, account?.message ?? ""));
      return;
    } else if (!this.pane.bars.length) this.tell(text.charts.loading);
    try {
      await this.pane.show(subject, again);
      if (subject.account) this.tell(this.pane.bars.length ? "" : text.charts.noCandles);
    } catch (error) {
      this.tell(/** @type {Error} */ (error).message);
    }
    this.live();
  }

  head(key = this.pane.subject.account) {
    const account = this.store.accounts.get(key);
    setText(this.account, key);
    this.account.hidden = this.controls.some((control) => control.value === key); // its picker names it already
    this.badge.hidden = !account?.rehearsal;
  }

  /** @param {string} sentence */
  tell(sentence) {
    setText(this.note, sentence);
    this.note.classList.toggle("strip", this.pane.bars.length > 0);
    this.note.hidden = sentence === "";
  }

  live() {
    const written = this.pane.live();
    const value = Number(written);
    if (written && value !== this.lastPrice) {
      if (this.lastPrice) this.price.className = `price ${value > this.lastPrice ? "rising" : "falling"}`;
      this.lastPrice = value;
    }
    setText(this.price, written);
  }
}
