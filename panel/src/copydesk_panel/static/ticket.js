// The order ticket of the parent, with its working orders. It is there only on rehearsal connections.

import { api } from "./api.js";
import { h, icon, setText } from "./dom.js";
import { moveOrder } from "./drag.js";
import { grouped, isPositive, plain, remaining } from "./format.js";
import { text } from "./text.js";

const TYPES = /** @type {const} */ (["market", "limit", "stop-market", "stop-limit", "take-profit-market", "take-profit-limit", "trailing-stop"]);
const WITH_PRICE = new Set(["limit", "stop-limit", "take-profit-limit"]);
const WITH_TRIGGER = new Set(["stop-market", "stop-limit", "take-profit-market", "take-profit-limit"]);

export class Ticket {
  /**
   * @param {HTMLElement} root
   * @param {import("./store.js").Store} store
   * @param {(symbol: string) => void} chooseSymbol
   */
  constructor(root, store, chooseSymbol) {
    this.root = root;
    this.store = store;
    this.account = "";
    /** @type {import("./types.js").Instrument[] | undefined} */
    this.instruments = undefined;
    this.side = "buy";
    /** @type {Map<string, {line: any, what: any, price: any, button: any}>} */
    this.rows = new Map();
    this.build(chooseSymbol);
    store.on(["accounts", "prices", "view"], () => this.render());
  }

  /** @param {(symbol: string) => void} chooseSymbol */
  build(chooseSymbol) {
    const t = text.ticket;
    const decimal = (/** @type {string} */ name) => h("input", { name, inputmode: "decimal", autocomplete: "off", on: { input: () => this.label() } });
    this.who = h("span", { class: "dim" });
    this.symbol = h("select", { name: "symbol", "aria-label": t.symbol, on: { change: () => chooseSymbol(this.symbol.value) } });
    this.type = h("select", { name: "type", on: { change: () => this.shape() } }, ...TYPES.map((type) => h("option", { value: type }, t.types[type])));
    this.type.value = "limit";
    this.buy = h("button", { type: "button", class: "side buy", on: { click: () => this.setSide("buy") } }, t.buy);
    this.sell = h("button", { type: "button", class: "side sell", on: { click: () => this.setSide("sell") } }, t.sell);
    this.quantity = decimal("quantity");
    this.price = decimal("price");
    this.trigger = decimal("trigger");
    this.trail = decimal("trail");
    this.reduceOnly = h("input", { type: "checkbox", name: "reduce-only" });
    this.priceLabel = h("label", {}, t.price, this.price);
    this.triggerLabel = h("label", {}, t.trigger, this.trigger);
    this.trailLabel = h("label", {}, t.trail, this.trail);
    this.submit = h("button", { type: "submit", class: "submit" });
    this.answer = h("p", { class: "answer", role: "status" });
    this.form = h("form", { novalidate: true, on: { submit: (/** @type {Event} */ event) => this.place(event) } },
      h("div", { class: "pair", role: "group", "aria-label": t.side }, this.buy, this.sell),
      h("div", { class: "grid" }, h("label", {}, t.symbol, this.symbol), h("label", {}, t.quantity, this.quantity), h("label", { class: "wide" }, t.type, this.type),
        this.priceLabel, this.triggerLabel, this.trailLabel, h("label", { class: "check" }, this.reduceOnly, t.reduceOnly)),
      this.submit, this.answer);
    this.position = h("dd");
    this.balance = h("dd");
    this.count = h("span", { class: "dim" });
    this.orders = h("ul", { class: "orders", "aria-label": t.working });
    this.root.setAttribute("aria-label", t.title);
    this.root.append(
      h("div", { class: "hazard" }, t.warning),
      h("div", { class: "bar" }, h("h2", {}, t.title), this.who),
      h("div", { class: "scroll" }, this.form,
        h("dl", { class: "facts" }, h("dt", {}, t.position), this.position, h("dt", {}, t.balance), this.balance),
        h("h3", {}, t.working, " ", this.count), this.orders));
    this.setSide("buy");
    this.shape();
  }

  /** @param {string} account @param {string} symbol @param {import("./types.js").Instrument[]} instruments */
  setAccount(account, symbol, instruments) {
    if (account !== this.account) setText(this.answer, "");
    this.account = account;
    this.instruments = instruments;
    const wanted = instruments.map((instrument) => instrument.symbol).join();
    if (this.symbol.dataset.filled !== wanted) {
      this.symbol.replaceChildren(...instruments.map((instrument) => h("option", { value: instrument.symbol }, instrument.symbol)));
      this.symbol.dataset.filled = wanted;
    }
    this.symbol.value = symbol;
    this.render();
    this.label();
  }

  /** @param {"buy" | "sell"} side */
  setSide(side) {
    this.side = side;
    this.buy.setAttribute("aria-pressed", String(side === "buy"));
    this.sell.setAttribute("aria-pressed", String(side === "sell"));
    this.label();
  }

  /** Show the fields that the chosen type has. */
  shape() {
    const type = this.type.value;
    this.priceLabel.hidden = !WITH_PRICE.has(type);
    this.triggerLabel.hidden = !WITH_TRIGGER.has(type);
    this.trailLabel.hidden = type !== "trailing-stop";
    this.label();
  }

  label() {
    if (!this.submit) return;
    this.submit.className = `submit ${this.side}`;
    setText(this.submit, text.ticket.place(this.side === "buy" ? text.ticket.buy : text.ticket.sell, this.quantity.value.trim(), this.symbol.value));
  }

  render() {
    const account = this.store.accounts.get(this.account);
    this.root.hidden = !account?.rehearsal;
    if (!account?.rehearsal) return;
    setText(this.who, `${text.ticket.account} ${this.account}`);
    const last = this.store.price(this.account, this.symbol.value)?.last;
    this.price.placeholder = last ? plain(last) : "";
    this.trigger.placeholder = this.price.placeholder;
    const held = [...account.positions.values()].filter((position) => position.symbol === this.symbol.value && Number(position.quantity) !== 0);
    setText(this.position, held.map((position) => `${plain(position.quantity)} @ ${plain(position.entry_price)}`).join(", ") || text.ticket.flat);
    setText(this.balance, account.balance ? `${grouped(account.balance.equity)} ${account.balance.currency}` : "—");
    this.renderOrders(account);
  }

  /** @param {import("./types.js").Account} account */
  renderOrders(account) {
    for (const [key, row] of this.rows) {
      if (account.orders.has(key)) continue;
      row.line.remove();
      this.rows.delete(key);
    }
    for (const [key, order] of account.orders) {
      let row = this.rows.get(key);
      if (!row) {
        row = this.orderRow(key);
        this.rows.set(key, row);
        this.orders.append(row.line);
      }
      const { terms } = order;
      setText(row.what, `${terms.side === "buy" ? text.ticket.buy : text.ticket.sell} ${remaining(terms.quantity, order.filled)} ${terms.symbol}`);
      row.what.className = `what ${terms.side}`;
      const prices = [terms.trigger_price, terms.price].filter(Boolean).map(plain).join(" → ");
      setText(row.price, `${text.ticket.types[/** @type {keyof typeof text.ticket.types} */ (terms.type)] ?? terms.type} ${prices}`);
      row.line.dataset.symbol = terms.symbol;
      row.button.setAttribute("aria-label", text.ticket.cancel(`${row.what.textContent} ${row.price.textContent}`));
    }
    setText(this.count, account.orders.size ? String(account.orders.size) : text.ticket.none);
    this.orders.dataset.count = String(account.orders.size);
  }

  /** @param {string} key */
  orderRow(key) {
    const what = h("span", { class: "what" });
    const price = h("button", { type: "button", class: "plain at", title: text.ticket.move, on: { click: () => this.change(key, price) } });
    const button = h("button", { type: "button", class: "plain sign danger", data: { act: "cancel" }, on: { click: () => this.cancel(key, button) } }, icon("cross"));
    return { line: h("li", { data: { order: key } }, what, price, button), what, price, button };
  }

  /** Type another price for a working order: what dragging its line does, by keyboard. @param {string} key @param {HTMLElement} shown */
  change(key, shown) {
    const order = this.store.accounts.get(this.account)?.orders.get(key);
    const before = order?.terms.trigger_price ?? order?.terms.price;
    if (!order || !before) return;
    const input = h("input", { class: "at", value: plain(before), inputmode: "decimal", "aria-label": text.ticket.newPrice(shown.textContent ?? "") });
    let ended = false;
    const end = () => {
      if (ended) return;
      ended = true; // taking a field away makes it lose the focus, which ends it again
      input.replaceWith(shown);
    };
    input.addEventListener("blur", end);
    input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") end();
      if (event.key !== "Enter") return;
      event.preventDefault();
      const wanted = input.value.trim();
      if (!isPositive(wanted)) {
        this.tell(text.ticket.needs(text.ticket.price), "bad");
        return;
      }
      end();
      shown.focus();
      const tick = this.instruments?.find((instrument) => instrument.symbol === order.terms.symbol)?.price_tick ?? "0.01";
      void moveOrder(this.account, order, wanted, tick, (sentence) => this.tell(sentence, "bad"));
    });
    shown.replaceWith(input);
    input.focus();
    input.select();
  }

  /** @param {Event} event */
  async place(event) {
    event.preventDefault();
    const terms = this.terms();
    if (!terms) return;
    this.submit.disabled = true;
    try {
      const { outcome } = await api.place(this.account, terms);
      this.say(outcome, `${this.submit.textContent} ${this.type.selectedOptions[0].textContent}`);
    } catch (error) {
      this.tell(/** @type {Error} */ (error).message, "bad");
    } finally {
      this.submit.disabled = false;
    }
  }

  /** What the form asks for, or null where it says what is missing. @returns {import("./types.js").Terms | null} */
  terms() {
    /** @type {Record<string, string>} */
    const amounts = {};
    for (const [name, label, input] of /** @type {[string, string, any][]} */ ([["quantity", text.ticket.quantity, this.quantity],
      ["price", text.ticket.price, this.price], ["trigger_price", text.ticket.trigger, this.trigger], ["trail_percent", text.ticket.trail, this.trail]])) {
      if (input.parentElement.hidden) continue;
      const value = input.value.trim();
      if (!isPositive(value)) {
        this.tell(text.ticket.needs(label), "bad");
        input.focus();
        return null;
      }
      amounts[name] = value;
    }
    return /** @type {any} */ ({ symbol: this.symbol.value, side: this.side, type: this.type.value, reduce_only: this.reduceOnly.checked, ...amounts });
  }

  /** @param {string} key @param {any} button */
  async cancel(key, button) {
    const order = this.store.accounts.get(this.account)?.orders.get(key);
    if (!order) return;
    button.disabled = true;
    try {
      const { outcome } = await api.cancel(this.account, { symbol: order.terms.symbol, type: order.terms.type, client_id: order.client_id ?? "", venue_id: order.venue_id });
      this.say(outcome, text.ticket.cancelled);
    } catch (error) {
      this.tell(/** @type {Error} */ (error).message, "bad");
    } finally {
      button.disabled = false;
    }
  }

  /** @param {{type: string, message?: string}} outcome @param {string} what */
  say(outcome, what) {
    if (outcome.type === "accepted") this.tell(text.ticket.accepted(what), "good");
    else if (outcome.type === "rejected") this.tell(text.ticket.rejected(outcome.message ?? ""), "bad");
    else this.tell(text.ticket.unknown(outcome.message ?? ""), "bad");
  }

  /** @param {string} sentence @param {"good" | "bad"} kind */
  tell(sentence, kind) {
    setText(this.answer, sentence);
    this.answer.className = `answer ${kind}`;
  }
}
