// The log of all actions: newest on top, only the visible rows are in the document, at most one update per frame.

import { failureDialog } from "./dialog.js";
import { h, setText } from "./dom.js";
import { exportLog } from "./export.js";
import { count, fullTime, logTime } from "./format.js";
import { LogBook } from "./logbook.js";
import { storyDialog } from "./story.js";
import { text } from "./text.js";

const ROW = 20;
const HEAD = 24;
const SPARE = 8;
const TYPING_MS = 200;
const KEPT_HELD = 20_000;
const CELLS = /** @type {const} */ (["time", "level", "bot", "account", "text"]);
const KINDS = ["bot", "connection", "copy", "fill", "parent", "ticket"];
const LEARNED = 500;
const PERIODS = /** @type {const} */ (["15m", "1h", "today", "all", "custom"]);

export class LogView {
  /** @param {HTMLElement} root @param {import("./store.js").Store} store */
  constructor(root, store) {
    this.root = root;
    this.store = store;
    this.book = new LogBook();
    this.period = "all";
    this.follow = true;
    /** Lines that came while the view is held. @type {import("./types.js").LogEntry[]} */
    this.held = [];
    this.heldCount = 0;
    /** True where held lines were let go: they are fetched when one follows again. */
    this.refetch = false;
    /** True where scrolling ended the following: scrolling back to the top begins it again. */
    this.scrolledAway = false;
    this.kinds = new Set(KINDS);
    /** @type {any[]} */
    this.exports = [];
    /** The line that the keyboard stands on, by its number; 0 for none. */
    this.selected = 0;
    /** @type {Map<number, any>} */
    this.rows = new Map();
    /** @type {any[]} */
    this.spare = [];
    this.build();
    store.on(["log"], () => this.take());
    store.on(["bots", "accounts", "view"], () => this.offer());
    store.on(["view"], () => void this.resume());
    new ResizeObserver(() => this.draw()).observe(this.scroller);
  }

  build() {
    const { columns } = text.log;
    this.counter = h("span", { class: "dim" });
    this.fresh = h("button", { type: "button", class: "small fresh", title: text.log.jump, hidden: true, on: { click: () => this.setFollow(true) } });
    this.periodPicker = h("select", { "aria-label": text.log.period, name: "period", on: { change: () => this.choosePeriod() } },
      ...PERIODS.map((period) => h("option", { value: period }, text.log.periods[period])));
    this.periodPicker.value = this.period;
    this.from = h("input", { type: "datetime-local", step: "1", "aria-label": text.log.from, title: text.log.from, on: { change: () => void this.refilter() } });
    this.to = h("input", { type: "datetime-local", step: "1", "aria-label": text.log.to, title: text.log.to, on: { change: () => void this.refilter() } });
    this.range = h("span", { class: "range", hidden: true }, this.from, "–", this.to);
    this.search = h("input", { type: "search", placeholder: text.log.filter, "aria-label": text.log.filterLabel, spellcheck: "false", on: { input: () => this.typed() } });
    this.bot = this.picker("bot");
    this.account = this.picker("account");
    this.kind = this.picker("kind");
    this.exports = /** @type {("csv" | "jsonl")[]} */ (["csv", "jsonl"]).map((format) => h("button", { type: "button", class: "small", title: text.log.exportAs[format], "aria-label": text.log.exportAs[format],
      on: { click: () => void this.export(format) } }, text.log.exports[format]));
    this.followBox = h("input", { type: "checkbox", checked: true, on: { change: () => this.setFollow(this.followBox.checked) } });
    const bar = h("div", { class: "bar" }, this.counter, this.fresh, h("span", { class: "push" }),
      this.range, this.periodPicker, this.bot, this.account, this.kind, this.search, ...this.exports, h("label", { class: "check" }, this.followBox, text.log.follow));
    const head = h("div", { class: "log-head log-row", role: "row" }, ...CELLS.map((cell) => h("span", { role: "columnheader", class: `l-${cell}` }, columns[cell])));
    this.inner = h("div", { class: "log-inner", role: "rowgroup" });
    this.note = h("div", { class: "empty", hidden: true });
    this.scroller = h("div", { class: "log-scroll", tabindex: "0", role: "grid", "aria-label": text.log.title, "aria-readonly": "true",
      on: { scroll: () => this.scrolled(), keydown: (/** @type {KeyboardEvent} */ event) => this.key(event) } }, head, this.inner, this.note);
    this.root.setAttribute("aria-label", text.log.title);
    this.root.append(bar, this.scroller);
  }

  /** @param {"bot" | "account" | "kind"} name */
  picker(name) {
    return h("select", { name: `log-${name}`, "aria-label": text.log.only[name], on: { change: () => void this.refilter() } }, h("option", { value: "" }, text.log.any[name]));
  }

  /** Offer what there is to filter by; what is chosen stays. */
  offer() {
    const { bots, accounts } = this.store;
    fillPicker(this.bot, text.log.any.bot, [...bots.keys()], (value) => value);
    fillPicker(this.account, text.log.any.account, [...accounts.keys()].sort((one, other) => one.localeCompare(other, undefined, { numeric: true })), (value) => value);
    fillPicker(this.kind, text.log.any.kind, [...this.kinds].sort(), text.log.kind);
  }

  /** @param {"csv" | "jsonl"} format */
  async export(format) {
    for (const button of this.exports) button.disabled = true;
    try {
      const count_ = await exportLog(format, this.filter(), (so) => setText(this.counter, text.log.exporting(count(so))));
      setText(this.counter, text.log.exported(count(count_)));
    } catch (error) {
      void failureDialog(/** @type {Error} */ (error).message);
    } finally {
      for (const button of this.exports) button.disabled = false;
    }
  }

  /** The filter as the API takes it. @returns {import("./logbook.js").Filter} */
  filter() {
    const only = { bot: this.bot.value || undefined, account: this.account.value || undefined, kind: this.kind.value || undefined };
    return { ...this.when(), ...only };
  }

  /** @returns {import("./logbook.js").Filter} */
  when() {
    const now = Date.now();
    const wanted = this.search.value.trim() || undefined;
    const at = (/** @type {string} */ value) => (value ? new Date(value).getTime() : undefined);
    switch (this.period) {
      case "15m": return { from_ms: now - 15 * 60_000, text: wanted };
      case "1h": return { from_ms: now - 3_600_000, text: wanted };
      case "today": return { from_ms: new Date().setHours(0, 0, 0, 0), text: wanted };
      case "custom": return { from_ms: at(this.from.value), to_ms: at(this.to.value), text: wanted };
      default: return { text: wanted };
    }
  }

  choosePeriod() {
    this.period = this.periodPicker.value;
    this.range.hidden = this.period !== "custom";
    void this.refilter();
  }

  typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.refilter(), TYPING_MS);
  }

  async refilter() {
    this.take();
    this.forgetHeld();
    this.book.hold();
    try {
      await this.book.show(this.filter());
    } catch (error) {
      this.book.pending = undefined;
      setText(this.note, /** @type {Error} */ (error).message);
      this.note.hidden = false;
      return;
    }
    this.scroller.scrollTop = 0;
    this.learn();
    this.redraw();
  }

  /** A new view was taken: the first one, or one after a break, whose missed lines are fetched. */
  async resume() {
    if (this.book.entries.length === 0) {
      await this.refilter();
      return;
    }
    this.book.hold();
    try {
      this.added(await this.book.catchUp());
    } catch {
      this.book.pending = undefined; // the stream broke again: the next view catches up
    }
  }

  /** Take the lines that the stream brought. */
  take() {
    const lines = this.store.newLog;
    if (lines.length === 0) return;
    this.store.newLog = [];
    if (this.follow || this.book.pending) this.added(this.book.add(lines));
    else {
      for (const line of lines) this.held.push(line);
      this.heldCount += lines.length;
      if (this.held.length > KEPT_HELD) {
        this.held = [];
        this.refetch = true;
      }
      this.showFresh();
    }
  }

  /** @param {number} lines how many rows came on top */
  added(lines) {
    if (lines === 0) return;
    this.learn();
    this.redraw();
  }

  /** Kinds of lines that were seen can be filtered by. */
  learn() {
    const before = this.kinds.size;
    for (const entry of this.book.entries.slice(-LEARNED)) this.kinds.add(entry.kind);
    if (this.kinds.size !== before) this.offer();
  }

  /** @param {boolean} follow */
  setFollow(follow) {
    this.follow = follow;
    this.followBox.checked = follow;
    this.scrolledAway = false;
    if (follow) {
      const held = this.held;
      this.forgetHeld();
      this.scroller.scrollTop = 0;
      if (this.refetch) {
        this.refetch = false;
        void this.resume();
      } else {
        this.book.add(held);
        this.redraw();
      }
    }
    this.showFresh();
  }

  forgetHeld() {
    this.held = [];
    this.heldCount = 0;
  }

  showFresh() {
    this.fresh.hidden = this.follow;
    setText(this.fresh, text.log.newRows(this.heldCount));
    this.root.dataset.held = String(this.heldCount);
  }

  scrolled() {
    const atTop = this.scroller.scrollTop < ROW;
    if (this.follow && !atTop) {
      this.setFollow(false);
      this.scrolledAway = true;
    } else if (this.scrolledAway && atTop) this.setFollow(true);
    this.draw();
    const bottom = this.scroller.scrollTop + this.scroller.clientHeight;
    if (bottom > this.book.entries.length * ROW - 20 * ROW) void this.loadOlder();
  }

  async loadOlder() {
    try {
      if (await this.book.older()) this.redraw();
    } catch {
      // the header says that the engine is away; scrolling again asks again
    }
  }

  /** The rows themselves changed: every visible one is written anew. */
  redraw() {
    const total = this.book.entries.length;
    this.inner.style.height = `${total * ROW}px`;
    setText(this.counter, text.log.count(count(total) + (this.book.complete ? "" : "+")));
    this.root.dataset.rows = String(total);
    this.note.hidden = total > 0;
    if (total === 0) setText(this.note, this.search.value ? text.log.emptyFilter : text.log.empty);
    for (const [index, row] of this.rows) this.write(row, index);
    this.draw();
  }

  /** Put rows where one looks, take away those where one does not. */
  draw() {
    const total = this.book.entries.length;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - SPARE);
    const end = Math.min(total, Math.ceil((this.scroller.scrollTop + this.scroller.clientHeight) / ROW) + SPARE);
    for (const [index, row] of this.rows) {
      if (index >= first && index < end) continue;
      this.rows.delete(index);
      row.line.hidden = true;
      this.spare.push(row);
    }
    for (let index = first; index < end; index += 1) {
      if (this.rows.has(index)) continue;
      const row = this.spare.pop() ?? this.newRow();
      row.line.hidden = false;
      row.line.style.transform = `translateY(${index * ROW}px)`;
      this.rows.set(index, row);
      this.write(row, index);
    }
  }

  newRow() {
    const cells = CELLS.map((cell) => h("span", { role: "gridcell", class: `l-${cell}` }));
    const line = h("div", { class: "log-row", role: "row" }, ...cells);
    const row = { line, cells, entry: /** @type {import("./types.js").LogEntry | null} */ (null) };
    line.addEventListener("click", () => row.entry && this.open(row.entry));
    this.inner.append(line);
    return row;
  }

  /** The whole story of a line. @param {import("./types.js").LogEntry} entry */
  open(entry) {
    this.select(entry);
    void storyDialog(this.store, entry);
  }

  /** @param {import("./types.js").LogEntry} entry */
  select(entry) {
    if (this.follow) this.setFollow(false); // one stays where one reads
    this.selected = entry.seq ?? 0;
    for (const row of this.rows.values()) this.mark(row);
  }

  /** @param {any} row */
  mark(row) {
    const isSelected = this.selected !== 0 && row.entry?.seq === this.selected;
    row.line.classList.toggle("selected", isSelected);
    if (isSelected) this.scroller.setAttribute("aria-activedescendant", row.line.id);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const steps = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 });
    const { entries } = this.book;
    const at = this.selected ? entries.findLastIndex((entry) => entry.seq === this.selected) : -1;
    if (event.key === "Enter" && at >= 0) this.open(entries[at]);
    else if (event.key in steps && entries.length) {
      const from = at >= 0 ? entries.length - 1 - at : Math.floor(this.scroller.scrollTop / ROW) - steps[event.key];
      const index = Math.min(entries.length - 1, Math.max(0, from + steps[event.key]));
      this.select(entries[entries.length - 1 - index]);
      const top = index * ROW;
      if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
      else if (top + ROW + HEAD > this.scroller.scrollTop + this.scroller.clientHeight) this.scroller.scrollTop = top + ROW + HEAD - this.scroller.clientHeight;
    } else return;
    event.preventDefault();
  }

  /** @param {any} row @param {number} index counted from the newest */
  write(row, index) {
    const entry = this.book.entries[this.book.entries.length - 1 - index];
    if (!entry || row.entry === entry) return;
    row.entry = entry;
    const [time, level, bot, account, words] = row.cells;
    setText(time, logTime(entry.at_ns));
    setText(level, entry.level.toUpperCase());
    setText(bot, entry.bot ?? "");
    setText(account, entry.account ?? "");
    setText(words, entry.text);
    time.title = fullTime(entry.at_ns);
    words.title = entry.text;
    row.line.dataset.level = entry.level;
    row.line.dataset.seq = String(entry.seq ?? 0);
    row.line.dataset.kind = entry.kind;
    row.line.id = `log-${entry.seq ?? 0}`;
    this.mark(row);
  }
}

/** @param {any} select @param {string} any @param {string[]} values @param {(value: string) => string} words */
function fillPicker(select, any, values, words) {
  const state = values.join("\n");
  if (select.dataset.filled === state) return;
  select.dataset.filled = state;
  const chosen = select.value;
  select.replaceChildren(h("option", { value: "" }, any), ...values.map((value) => h("option", { value }, words(value))));
  select.value = values.includes(chosen) ? chosen : "";
}
