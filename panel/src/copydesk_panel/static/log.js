// The log of all actions: newest on top, only the visible rows are in the document, at most one update per frame.

import { h, setText } from "./dom.js";
import { count, fullTime, logTime } from "./format.js";
import { LogBook } from "./logbook.js";
import { text } from "./text.js";

const ROW = 20;
const SPARE = 8;
const TYPING_MS = 200;
const KEPT_HELD = 20_000;
const CELLS = /** @type {const} */ (["time", "level", "bot", "account", "text"]);
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
    /** @type {Map<number, any>} */
    this.rows = new Map();
    /** @type {any[]} */
    this.spare = [];
    this.build();
    store.on(["log"], () => this.take());
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
    this.followBox = h("input", { type: "checkbox", checked: true, on: { change: () => this.setFollow(this.followBox.checked) } });
    const bar = h("div", { class: "bar" }, h("h2", {}, text.log.title), this.counter, this.fresh, h("span", { class: "push" }),
      this.range, this.periodPicker, this.search, h("label", { class: "check" }, this.followBox, text.log.follow));
    const head = h("div", { class: "log-head log-row", role: "row" }, ...CELLS.map((cell) => h("span", { role: "columnheader", class: `l-${cell}` }, columns[cell])));
    this.inner = h("div", { class: "log-inner", role: "rowgroup" });
    this.note = h("div", { class: "empty", hidden: true });
    this.scroller = h("div", { class: "log-scroll", tabindex: "0", role: "table", "aria-label": text.log.title, on: { scroll: () => this.scrolled() } }, this.inner, this.note);
    this.root.setAttribute("aria-label", text.log.title);
    this.root.append(bar, head, this.scroller);
  }

  /** The filter as the API takes it. @returns {import("./logbook.js").Filter} */
  filter() {
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
    this.redraw();
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
    const cells = CELLS.map((cell) => h("span", { role: "cell", class: `l-${cell}` }));
    const line = h("div", { class: "log-row", role: "row" }, ...cells);
    this.inner.append(line);
    return { line, cells, entry: null };
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
  }
}
