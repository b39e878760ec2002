// The lines of the log that fit the filter: the newest from the stream, older ones fetched as one scrolls to them.
//
// Nothing is lost: what the stream brought and what the API tells are joined by the lines' numbers, a gap between the two is
// fetched, and lines that were let go to bound the memory are fetched again when one scrolls back to them.

import { api } from "./api.js";

const PAGE = 500;
const KEPT = 200_000;

/** @typedef {{from_ms?: number, to_ms?: number, text?: string, bot?: string, account?: string, kind?: string}} Filter */
/** @typedef {import("./types.js").LogEntry} LogEntry */

/** @param {LogEntry} entry @param {Filter} filter */
export function fits(entry, filter) {
  const milliseconds = entry.at_ns / 1e6;
  if (filter.from_ms && milliseconds < filter.from_ms) return false;
  if (filter.to_ms && milliseconds > filter.to_ms) return false;
  if ((filter.bot && filter.bot !== entry.bot) || (filter.account && filter.account !== entry.account)) return false;
  if (filter.kind && filter.kind !== entry.kind) return false;
  return !filter.text || contains(entry, filter.text.toLowerCase());
}

/** @param {LogEntry} entry @param {string} wanted in lower case */
function contains(entry, wanted) {
  return entry.text.toLowerCase().includes(wanted);
}

export class LogBook {
  constructor() {
    /** Oldest first. @type {LogEntry[]} */
    this.entries = [];
    /** @type {Filter} */
    this.filter = {};
    this.complete = false;
    this.loading = false;
    this.run = 0;
    /** What the stream brought while a page is on its way. @type {LogEntry[] | undefined} */
    this.pending = undefined;
  }

  /** Begin anew with a filter: the newest page of it. @param {Filter} filter */
  async show(filter) {
    this.filter = filter;
    const run = ++this.run;
    const entries = await this.page(0);
    if (run !== this.run) return;
    const newer = this.pending ?? [];
    this.entries = entries;
    this.complete = entries.length < PAGE;
    this.pending = undefined;
    this.add(newer);
  }

  /** Hold what the stream brings until `show` has its page, so that none falls between. */
  hold() {
    this.pending = [];
  }

  /**
   * Take lines from the stream, oldest first. @param {LogEntry[]} lines
   * @returns {number} how many of them fit the filter
   */
  add(lines) {
    if (this.pending) {
      this.pending.push(...lines);
      return 0;
    }
    const last = this.entries.at(-1)?.seq ?? 0;
    const fresh = lines.filter((line) => (line.seq ?? 0) > last && fits(line, this.filter));
    for (const line of fresh) this.entries.push(line);
    if (this.entries.length > KEPT * 1.1) {
      this.entries.splice(0, this.entries.length - KEPT);
      this.complete = false;
    }
    return fresh.length;
  }

  /**
   * Fetch what came between the last line known and now, after a break of the stream. An engine whose newest line is older
   * than the last one known has another journal: then all is read anew.
   * @returns {Promise<number>}
   */
  async catchUp() {
    const run = this.run;
    const last = this.entries.at(-1)?.seq ?? 0;
    /** @type {LogEntry[]} */
    let missing = [];
    let before = 0;
    for (;;) {
      const page = await this.page(before);
      if (run !== this.run) return 0;
      if (before === 0 && (page.at(-1)?.seq ?? 0) < last) {
        await this.show(this.filter);
        return this.entries.length;
      }
      const newer = page.filter((line) => (line.seq ?? 0) > last);
      missing = [...newer, ...missing];
      if (newer.length < PAGE) break;
      before = newer[0].seq ?? 0;
    }
    const waiting = this.pending ?? [];
    this.pending = undefined;
    return this.add(missing) + this.add(waiting);
  }

  /** Fetch the page before the oldest line. @returns {Promise<number>} how many lines came */
  async older() {
    if (this.complete || this.loading || this.pending || this.entries.length === 0) return 0;
    this.loading = true;
    const run = this.run;
    try {
      const page = await this.page(this.entries[0].seq ?? 0);
      if (run !== this.run) return 0;
      this.entries = [...page, ...this.entries];
      this.complete = page.length < PAGE;
      return page.length;
    } finally {
      this.loading = false;
    }
  }

  /** @param {number} before_seq @returns {Promise<LogEntry[]>} oldest first */
  async page(before_seq) {
    const found = await api.log({ ...this.filter, before_seq: before_seq || undefined, limit: PAGE });
    return found.reverse();
  }
}
