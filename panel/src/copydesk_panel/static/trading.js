// What may be traded on each child of a bot: everything, closing only, nothing; by whom it was decided, and until when.
// It takes hold at once, whatever becomes of the settings beside it.

import { api } from "./api.js";
import { errorLine, showError } from "./dialog.js";
import { h, setText } from "./dom.js";
import { fullTime, minuteOf } from "./format.js";
import { text } from "./text.js";
import { VirtualRows } from "./virtual.js";

const ROW = 26;
const STATES = /** @type {const} */ (["all", "close_only", "none"]);
const SPANS = /** @type {const} */ (["good", "0.25", "1", "4", "24", "at"]); // hours, or until when else
const ROWS_SHOWN = 12;
const HOUR_MS = 3_600_000;
const CELLS = /** @type {const} */ (["account", "state", "until", "actor", "reason"]);

/** @typedef {{account: string, state: string, reason?: string, actor?: string, until_ns?: number, day?: string, day_equity?: string | null}} Limit */

export class TradingForm {
  /** @param {string[]} children the accounts, as they are saved */
  constructor(children) {
    this.children = children;
    /** @type {Map<string, Limit>} */
    this.limits = new Map();
    this.asked = false;
    this.whose = h("select", { name: "trading-of", "aria-label": text.trading.whose },
      h("option", { value: "" }, text.settings.all(children.length)), ...children.map((account) => h("option", { value: account }, account)));
    this.state = h("select", { name: "trading-state", "aria-label": text.trading.state }, ...STATES.map((state) => h("option", { value: state }, text.trading.states[state])));
    this.state.value = "close_only";
    this.until = h("select", { name: "trading-until", "aria-label": text.trading.until, on: { change: () => this.choose() } }, ...SPANS.map((span) => h("option", { value: span }, text.trading.spans[span])));
    this.at = h("input", { name: "trading-at", type: "datetime-local", "aria-label": text.trading.at, hidden: true });
    this.reason = h("input", { name: "trading-reason", "aria-label": text.trading.reason, placeholder: text.trading.reason, maxlength: "200", autocomplete: "off" });
    this.set = h("button", { type: "button", class: "small halt trades", data: { act: "set-trading" }, on: { click: () => void this.send() } }, text.trading.set);
    this.error = errorLine();
    this.said = h("p", { class: "hint", role: "status" });
    const head = h("div", { class: "limit-row rows-head", role: "row" }, ...CELLS.map((cell) => h("span", { role: "columnheader", class: `l-${cell}` }, text.trading.columns[cell])));
    this.list = new VirtualRows({ height: ROW, make: () => this.make(), write: (row, item) => this.write(row, item) }, head, { class: "rows-scroll limits", role: "table", "aria-label": text.trading.title });
    this.element = h("div", { class: "trading" }, h("p", { class: "hint" }, text.trading.atOnce),
      h("div", { class: "trading-set" }, this.whose, this.state, this.until, this.at, this.reason, this.set), this.error, this.said, this.list.scroller);
  }

  choose() {
    this.at.hidden = this.until.value !== "at";
    if (!this.at.hidden) this.at.focus();
  }

  /** Ask for what holds now, when the page is opened. */
  async show() {
    try {
      for (const limit of /** @type {Limit[]} */ (await api.limits())) this.limits.set(limit.account, limit);
      showError(this.error, "");
    } catch (problem) {
      showError(this.error, /** @type {Error} */ (problem).message);
    }
    this.render();
  }

  render() {
    const rows = this.children.map((account) => this.limits.get(account) ?? { account, state: "" });
    rows.sort((one, other) => Number(one.state === "all") - Number(other.state === "all"));
    this.list.scroller.style.height = `${(Math.min(rows.length, ROWS_SHOWN) + 1) * ROW + 2}px`;
    this.list.show(rows);
  }

  /** @returns {number | null} when it ends by itself: nanoseconds since the epoch, 0 for never; null where none was given */
  ends() {
    const span = this.until.value;
    if (span === "good") return 0;
    if (span !== "at") return (Date.now() + Number(span) * HOUR_MS) * 1e6;
    const ms = new Date(this.at.value).getTime();
    return Number.isNaN(ms) ? null : ms * 1e6;
  }

  async send() {
    const until = this.ends();
    if (until === null) {
      showError(this.error, text.trading.atMissing);
      this.at.focus();
      return;
    }
    const change = { state: this.state.value, reason: this.reason.value.trim(), actor: text.trading.actor, until_ns: until };
    const accounts = this.whose.value ? [this.whose.value] : this.children;
    this.set.disabled = true;
    setText(this.said, "");
    try {
      for (const account of accounts) this.limits.set(account, await api.setLimit(account, change));
      showError(this.error, "");
      setText(this.said, text.trading.done(accounts.length, text.trading.states[change.state]));
    } catch (problem) {
      showError(this.error, /** @type {Error} */ (problem).message);
    } finally {
      this.set.disabled = false;
      this.render();
    }
  }

  make() {
    const cells = Object.fromEntries(CELLS.map((cell) => [cell, h("span", { role: "cell", class: `l-${cell}` })]));
    return { line: h("div", { class: "limit-row", role: "row" }, ...Object.values(cells)), cells };
  }

  /** @param {any} row @param {Limit} limit */
  write(row, limit) {
    const { cells } = row;
    row.line.dataset.child = limit.account;
    row.line.dataset.state = limit.state;
    setText(cells.account, limit.account);
    setText(cells.state, text.trading.states[limit.state] ?? "—");
    setText(cells.until, limit.until_ns ? minuteOf(limit.until_ns) : limit.state && limit.state !== "all" ? text.trading.spans.good : "");
    cells.until.title = limit.until_ns ? fullTime(limit.until_ns) : "";
    setText(cells.actor, limit.actor ?? "");
    setText(cells.reason, [limit.reason, limit.day_equity ? text.trading.day(limit.day ?? "", limit.day_equity) : ""].filter(Boolean).join(" · "));
    cells.reason.title = cells.reason.textContent;
  }
}
