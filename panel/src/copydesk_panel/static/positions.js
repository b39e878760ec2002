// Positions and drift: what each child should hold, what it does, and why the two differ; with what one can do about it.

import { h, setText } from "./dom.js";
import { aligned, duration, plain } from "./format.js";
import { missingDialog } from "./plan.js";
import { text } from "./text.js";
import { VirtualRows } from "./virtual.js";

const ROW = 26;
const AMOUNTS = /** @type {const} */ (["target", "attributed", "in_flight", "foreign", "difference"]);
const CELLS = /** @type {const} */ (["bot", "child", "symbol", "target", "attributed", "in_flight", "foreign", "difference", "cause", "since", "act"]);
const HARMLESS = new Set(["", "rounding", "pending", "dust"]);

/** @typedef {import("./types.js").Drift} Drift */

/** Something that a person should look at. @param {Drift} row */
export const wantsLook = (row) => Boolean(row.alarm) || Boolean(row.naked_since_ns) || (Number(row.difference) !== 0 && !HARMLESS.has(row.cause ?? ""));

export class Positions {
  /**
   * @param {HTMLElement} root
   * @param {import("./store.js").Store} store
   * @param {{flatten: (bot: string) => void, choose: (choice: {bot: string, child: string}) => void, counted: (count: number) => void}} actions
   */
  constructor(root, store, actions) {
    this.store = store;
    this.actions = actions;
    this.places = 0;
    const { columns } = text.drift;
    this.search = h("input", { type: "search", placeholder: text.drift.filter, "aria-label": text.drift.filter, spellcheck: "false", on: { input: () => this.render() } });
    this.only = h("input", { type: "checkbox", on: { change: () => this.render() } });
    this.summary = h("span", { class: "dim", role: "status" });
    const head = h("div", { class: "drift-row rows-head", role: "row" }, ...CELLS.map((cell) => h("span", { role: "columnheader", class: `d-${cell}` }, columns[cell])));
    this.list = new VirtualRows({ height: ROW, make: () => this.make(), write: (row, item) => this.write(row, item) }, head,
      { class: "rows-scroll", role: "table", "aria-label": text.drift.title });
    this.note = h("div", { class: "empty" });
    this.list.scroller.append(this.note);
    root.append(h("div", { class: "bar" }, this.summary, h("span", { class: "push" }), this.search, h("label", { class: "check" }, this.only, text.drift.only)), this.list.scroller);
    store.on(["drift", "view", "bots"], () => this.render());
    setInterval(() => this.render(), 1000); // "since" grows
  }

  render() {
    const all = [...this.store.drift.values()];
    const looks = all.filter(wantsLook).length;
    this.actions.counted(looks);
    const wanted = this.search.value.trim().toLowerCase();
    const rows = all.filter((row) => (!this.only.checked || Number(row.difference) !== 0)
      && (!wanted || `${row.bot} ${row.child} ${row.symbol} ${row.cause}`.toLowerCase().includes(wanted)));
    rows.sort((one, other) => Number(wantsLook(other)) - Number(wantsLook(one)) || one.bot.localeCompare(other.bot) || one.child.localeCompare(other.child, undefined, { numeric: true }) || one.symbol.localeCompare(other.symbol));
    this.places = Math.max(0, ...rows.flatMap((row) => AMOUNTS.map((name) => (plain(row[name]).split(".")[1] ?? "").length)));
    setText(this.summary, all.length ? text.drift.summary(all.length, looks) : "");
    this.note.hidden = rows.length > 0;
    setText(this.note, all.length ? text.drift.noneFits : text.drift.none);
    this.list.show(rows);
  }

  make() {
    const cells = Object.fromEntries(CELLS.map((cell) => [cell, h("span", { role: "cell", class: `d-${cell}` })]));
    const made = { line: h("div", { class: "drift-row", role: "row" }, ...Object.values(cells)), cells, item: /** @type {Drift | null} */ (null), copy: h("button", { type: "button", class: "small trades" }, text.drift.copy), flatten: h("button", { type: "button", class: "small trades" }, text.drift.flatten) };
    made.copy.addEventListener("click", () => made.item && void missingDialog(made.item));
    made.flatten.addEventListener("click", () => made.item && this.actions.flatten(made.item.bot));
    made.line.addEventListener("dblclick", () => made.item && this.actions.choose({ bot: made.item.bot, child: made.item.child }));
    cells.act.append(made.copy, made.flatten);
    return made;
  }

  /** @param {any} row @param {Drift} item */
  write(row, item) {
    row.item = item;
    const { cells } = row;
    const off = Number(item.difference) !== 0;
    setText(cells.bot, item.bot);
    setText(cells.child, item.child);
    setText(cells.symbol, item.position_side === "net" ? item.symbol : `${item.symbol} ${item.position_side}`);
    for (const name of AMOUNTS) setText(cells[name], aligned(item[name], this.places));
    cells.foreign.classList.toggle("some", Number(item.foreign) !== 0);
    const causes = (item.causes ?? []).map((part) => (item.causes?.length === 1 ? text.drift.cause(part.cause) : `${text.drift.cause(part.cause)} ${plain(part.quantity)}`)).join(", ");
    const naked = item.naked_since_ns ? text.drift.naked(duration(Date.now() * 1e6 - item.naked_since_ns)) : "";
    setText(cells.cause, [item.alarm, causes || (off ? text.drift.cause(item.cause ?? "") : ""), naked].filter(Boolean).join(" · "));
    cells.cause.title = cells.cause.textContent;
    setText(cells.since, item.since_ns ? duration(Date.now() * 1e6 - item.since_ns) : "");
    row.line.dataset.state = wantsLook(item) ? "look" : off ? "off" : "even";
    row.line.dataset.child = item.child;
    row.copy.disabled = !off;
    row.copy.setAttribute("aria-label", text.drift.copyOf(item.symbol, item.child));
    row.flatten.setAttribute("aria-label", text.drift.flattenOf(item.bot));
  }
}
