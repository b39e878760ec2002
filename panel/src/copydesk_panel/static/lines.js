// What a chart shows of an account: price lines of orders and positions, markers of fills. Pure: records in, drawings out.

import { plain, remaining, sum } from "./format.js";
import { text } from "./text.js";

// Hues that people with any colour vision tell apart; every line carries its words besides.
export const COLOURS = {
  up: "#26b8a0",
  down: "#f0616d",
  buy: "#4fc3f7",
  sell: "#ffb74d",
  limit: "#ffb74d",
  stopLoss: "#ef5350",
  takeProfit: "#26a69a",
  entry: "#b39ddb",
  position: "#8ab4f8",
};
const SOLID = 0;
const DOTTED = 1;
const DASHED = 2;
const MANY = 1;

/** @typedef {{id: string, price: number, title: string, color: string, lineStyle: number, textColor: string}} Line */
/** @typedef {{time: number, position: "belowBar" | "aboveBar", shape: "arrowUp" | "arrowDown", color: string, text: string, id: string}} Marker */

/**
 * The lines of one symbol on one account.
 * @param {import("./types.js").Account | undefined} account
 * @param {string} symbol
 * @returns {Line[]}
 */
export function linesOf(account, symbol) {
  if (!account) return [];
  const positions = [...account.positions.values()].filter((position) => position.symbol === symbol && Number(position.quantity) !== 0);
  const net = positions.reduce((total, position) => total + Number(position.quantity), 0);
  const orders = [...account.orders].filter(([, order]) => order.terms.symbol === symbol);
  return [...positions.map(positionLine), ...orders.map(([key, order]) => orderLine(key, order, net)).filter((line) => line !== null)];
}

/** @param {import("./types.js").Position} position @returns {Line} */
function positionLine(position) {
  const long = Number(position.quantity) > 0;
  const quantity = plain(position.quantity).replace("-", "");
  return {
    id: `position ${position.position_side ?? "net"}`,
    price: Number(position.entry_price ?? 0),
    title: `${long ? text.charts.long : text.charts.short} ${quantity}`,
    color: COLOURS.position,
    lineStyle: SOLID,
    textColor: "#0b0f15",
  };
}

/** @param {string} key @param {import("./types.js").Order} order @param {number} net signed position @returns {Line | null} */
function orderLine(key, order, net) {
  const { terms } = order;
  const price = Number(terms.trigger_price ?? terms.price ?? 0);
  if (!(price > 0)) return null; // a trailing stop without an activation price has no line of its own
  const { words, color } = orderWords(terms, net);
  const quantity = terms.close_position ? text.charts.all : remaining(terms.quantity, order.filled);
  const limit = terms.trigger_price && terms.price ? ` → ${plain(terms.price)}` : "";
  const textColor = color === COLOURS.limit || color === COLOURS.entry ? "#0b0f15" : "#ffffff";
  return { id: `order ${key}`, price, title: `${words} ${quantity}${limit}`, color, lineStyle: terms.trigger_price ? DASHED : DOTTED, textColor };
}

/**
 * An order that closes is a stop-loss or a take-profit; any other is named by its side.
 * @param {import("./types.js").Terms} terms
 * @param {number} net
 */
function orderWords(terms, net) {
  const { charts } = text;
  const buys = terms.side === "buy";
  const side = buys ? charts.buy : charts.sell;
  const closes = terms.reduce_only || terms.close_position || (net !== 0 && net > 0 !== buys);
  if (terms.type.startsWith("take-profit")) return { words: closes ? charts.takeProfit : `${side} ${charts.takeProfit}`, color: COLOURS.takeProfit };
  if (terms.type === "trailing-stop") return { words: charts.trailing, color: COLOURS.stopLoss };
  if (terms.type.startsWith("stop")) {
    return closes ? { words: charts.stopLoss, color: COLOURS.stopLoss } : { words: `${side} ${charts.stop}`, color: COLOURS.entry };
  }
  return { words: `${side} ${charts.limit}`, color: COLOURS.limit };
}

/**
 * One marker per order and bar; where a bar has more than a few on one side, one for all of them.
 * @param {import("./types.js").Fill[]} fills
 * @param {string} symbol
 * @param {(ms: number) => number | null} barOf the time of the bar that holds a moment, null where there is none
 * @returns {Marker[]} in order of time
 */
export function markersOf(fills, symbol, barOf) {
  /** @type {Map<string, {time: number, side: string, orders: Map<string, string[]>}>} */
  const bars = new Map();
  for (const fill of fills) {
    if (fill.symbol !== symbol) continue;
    const time = barOf(fill.time_ms ?? 0);
    if (time === null) continue;
    const key = `${time} ${fill.side}`;
    let bar = bars.get(key);
    if (!bar) bars.set(key, (bar = { time, side: fill.side, orders: new Map() }));
    const quantities = bar.orders.get(fill.venue_id) ?? [];
    quantities.push(fill.quantity);
    bar.orders.set(fill.venue_id, quantities);
  }
  return [...bars.values()].flatMap(barMarkers).sort((one, other) => one.time - other.time);
}

/** @param {{time: number, side: string, orders: Map<string, string[]>}} bar @returns {Marker[]} */
function barMarkers({ time, side, orders }) {
  const marker = (/** @type {string} */ id, /** @type {string[]} */ quantities, /** @type {string} */ more) => markerOf(time, side, id, `${sum(quantities)}${more}`);
  if (orders.size > MANY) return [marker("all", [...orders.values()].flat(), ` (${orders.size})`)];
  return [...orders].map(([order, quantities]) => marker(order, quantities, ""));
}

/** @param {number} time @param {string} side @param {string} id @param {string} quantity @returns {Marker} */
function markerOf(time, side, id, quantity) {
  const buys = side === "buy";
  return {
    time,
    position: buys ? "belowBar" : "aboveBar",
    shape: buys ? "arrowUp" : "arrowDown",
    color: buys ? COLOURS.buy : COLOURS.sell,
    text: `${buys ? text.charts.buyMark : text.charts.sellMark} ${quantity}`,
    id: `${time} ${side} ${id}`,
  };
}

/**
 * Take the words from markers that stand so close to the next one of their side that both could not be read.
 * @param {Marker[]} markers in order of time
 * @param {number} nearest seconds that two markers with words have to be apart
 * @returns {Marker[]}
 */
export function thinned(markers, nearest) {
  /** @type {Record<string, number>} */
  const next = {};
  return markers.toReversed().map((marker) => {
    const after = next[marker.position];
    const reads = after === undefined || after === marker.time || after - marker.time >= nearest;
    if (!reads) return { ...marker, text: "" };
    next[marker.position] = marker.time;
    return marker;
  }).reverse();
}
