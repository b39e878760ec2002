// How numbers and times are written. Decimal strings stay strings: nothing here calculates with money.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { month: "2-digit", day: "2-digit" });
const whole = new Intl.NumberFormat("en-US");

/** The decimal without trailing zeros: `0.500` is `0.5`. @param {string | undefined | null} value */
export function plain(value) {
  if (value === undefined || value === null) return "";
  let written = /e/i.test(value) ? Number(value).toFixed(12) : String(value);
  if (written.includes(".")) written = written.replace(/0+$/, "").replace(/\.$/, "");
  return written;
}

/** The decimal with exactly `places` places, cut or filled; prices of one tick align. @param {string} value @param {number} places */
export function fixed(value, places) {
  const [integer, fraction = ""] = plain(value).split(".");
  return places > 0 ? `${integer}.${fraction.slice(0, places).padEnd(places, "0")}` : integer;
}

/** Digits after the point of a step such as `0.10`. @param {string} step */
export function placesOf(step) {
  return (plain(step).split(".")[1] ?? "").length;
}

const FIGURE = "\u2007"; // as wide as a digit,
const POINT = "\u2008"; // and as the point

/** The decimal with its point where that of others with at most `places` places is, filled with blanks, not with zeros. @param {string | undefined} value @param {number} places */
export function aligned(value, places) {
  const [integer, fraction = ""] = plain(value ?? "0").split(".");
  const sign = integer.replace("-", "\u2212");
  if (!places) return sign;
  return sign + (fraction ? `.${fraction}` : POINT) + FIGURE.repeat(Math.max(0, places - fraction.length));
}

/** With thousands separated and at most `places` places. @param {string} value @param {number} [places] */
export function grouped(value, places = 2) {
  const negative = value.startsWith("-");
  const [integer, fraction = ""] = plain(negative ? value.slice(1) : value).split(".");
  const cut = fraction.slice(0, places);
  return (negative ? "−" : "") + whole.format(BigInt(integer || "0")) + (cut ? `.${cut}` : "");
}

/** @param {number} value */
export const count = (value) => whole.format(value);

/** `412 µs`, `4.1 ms`, `1.2 s`; a dash where nothing was measured. @param {number | null | undefined} microseconds */
export function latency(microseconds) {
  if (microseconds === null || microseconds === undefined) return "—";
  if (microseconds < 1000) return `${Math.round(microseconds)} µs`;
  if (microseconds < 1_000_000) return `${(microseconds / 1000).toFixed(microseconds < 10_000 ? 1 : 0)} ms`;
  return `${(microseconds / 1_000_000).toFixed(1)} s`;
}

/** Time of day in the user's zone with milliseconds; the day before it where it is not today. @param {number} ns */
export function logTime(ns) {
  const milliseconds = Math.floor(ns / 1e6);
  const date = new Date(milliseconds);
  const time = `${clock.format(date)}.${String(milliseconds % 1000).padStart(3, "0")}`;
  return date.toDateString() === new Date().toDateString() ? time : `${day.format(date)} ${time}`;
}

/** The whole moment, for a tooltip. @param {number} ns */
export function fullTime(ns) {
  return new Date(ns / 1e6).toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
}

const minute = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** Day and minute, in the user's zone. @param {number} ns nanoseconds since the epoch */
export const minuteOf = (ns) => minute.format(ns / 1e6);

/** `now`, `12 s`, `3 min`, `2 h`, `4 d`. @param {number} ns how long, in nanoseconds */
export function duration(ns) {
  const seconds = Math.max(0, ns / 1e9);
  if (seconds < 1) return "now";
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

/** Greater than zero and a plain decimal. @param {string} value */
export const isPositive = (value) => /^\d*\.?\d+$/.test(value) && Number(value) > 0;

/** A plain decimal, possibly below zero. @param {string} value */
export const isDecimal = (value) => /^-?\d*\.?\d+$/.test(value);

/** Remaining of a total after `filled`, exactly, as a decimal string. @param {string} total @param {string | undefined} filled */
export function remaining(total, filled) {
  if (!filled || Number(filled) === 0) return plain(total);
  const places = Math.max(placesOf(total), placesOf(filled));
  const scaled = (/** @type {string} */ value) => BigInt(fixed(value, places).replace(".", ""));
  return unscaled(scaled(total) - scaled(filled), places);
}

/** Exact sum of decimal strings. @param {string[]} values */
export function sum(values) {
  const places = Math.max(0, ...values.map(placesOf));
  return unscaled(values.reduce((total, value) => total + BigInt(fixed(value, places).replace(".", "")), 0n), places);
}

/** The decimal rounded half up to at most `places` places, as a string; nothing is calculated in floating point. @param {string} value @param {number} places */
export function rounded(value, places) {
  const cut = plain(value);
  const [, fraction = ""] = cut.split(".");
  if (fraction.length <= places) return cut;
  const negative = cut.startsWith("-");
  const digits = BigInt(fixed(negative ? cut.slice(1) : cut, places + 1).replace(".", ""));
  const up = (digits + 5n) / 10n;
  return unscaled(negative ? -up : up, places);
}

/** @param {bigint} value @param {number} places */
function unscaled(value, places) {
  const sign = value < 0n ? "-" : "";
  const digits = (value < 0n ? -value : value).toString().padStart(places + 1, "0");
  return plain(sign + (places ? `${digits.slice(0, -places)}.${digits.slice(-places)}` : digits));
}
