// The log as a file: all lines that fit the filter, as CSV or as JSON Lines, whether they are on the page or not.

import { api } from "./api.js";

const PAGE = 5000;
const COLUMNS = /** @type {const} */ (["time", "level", "kind", "bot", "account", "symbol", "text"]);

/** @typedef {import("./types.js").LogEntry} LogEntry */

/**
 * Fetch every line that fits, the oldest first, and hand it to the browser as a download.
 * @param {"csv" | "jsonl"} format
 * @param {import("./logbook.js").Filter} filter
 * @param {(count: number) => void} progress
 * @returns {Promise<number>} how many lines were written
 */
export async function exportLog(format, filter, progress) {
  /** @type {string[]} */
  const pages = [];
  let before_seq = 0;
  let count = 0;
  for (;;) {
    const found = /** @type {LogEntry[]} */ (await api.log({ ...filter, before_seq: before_seq || undefined, limit: PAGE }));
    pages.push(found.reverse().map(format === "csv" ? csvLine : jsonLine).join(""));
    count += found.length;
    progress(count);
    if (found.length < PAGE) break;
    before_seq = found[0].seq ?? 0;
  }
  const head = format === "csv" ? `${COLUMNS.join(",")}\r\n` : "";
  const kind = format === "csv" ? "text/csv" : "application/x-ndjson";
  save(new Blob([head, ...pages.reverse()], { type: `${kind};charset=utf-8` }), `copydesk-log-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.${format}`);
  return count;
}

/** @param {LogEntry} entry */
const jsonLine = (entry) => `${JSON.stringify({ time: moment(entry), ...entry })}\n`;

/** @param {LogEntry} entry */
export function csvLine(entry) {
  /** @type {Record<typeof COLUMNS[number], string>} */
  const cells = { time: moment(entry), level: entry.level, kind: entry.kind, bot: entry.bot ?? "", account: entry.account ?? "", symbol: entry.symbol ?? "", text: entry.text };
  return `${COLUMNS.map((column) => quoted(cells[column])).join(",")}\r\n`;
}

/** The moment in UTC, to the microsecond. @param {LogEntry} entry */
function moment(entry) {
  const microseconds = Math.floor(entry.at_ns / 1000);
  return `${new Date(Math.floor(microseconds / 1000)).toISOString().slice(0, 23)}${String(microseconds % 1000).padStart(3, "0")}Z`;
}

/** A cell; what a spreadsheet would take for a formula is kept from being one. @param {string} value */
function quoted(value) {
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
