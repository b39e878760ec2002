// One chart: candles with live prices, markers of fills, lines of orders and positions. What is drawn is told in `data-`
// attributes of its element, read back from the chart itself.

import { CandlestickSeries, createChart, createSeriesMarkers } from "./vendor/lightweight-charts.mjs";
import { api } from "./api.js";
import { h } from "./dom.js";
import { fixed, placesOf } from "./format.js";
import { COLOURS, linesOf, markersOf, thinned } from "./lines.js";

const BARS = 500;
const REFRESH_MS = 15_000;
const REFRESH_WITHOUT_PRICES_MS = 5000;
const SECONDS = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400 };
export const INTERVALS = /** @type {(keyof typeof SECONDS)[]} */ (Object.keys(SECONDS));
// The library knows no zones: every time it is given is moved by the zone's offset of now, so that its axis shows local time.
const ZONE_S = -new Date().getTimezoneOffset() * 60;
const MARKER_WIDTH = 52; // pixels that a marker's words take
const NEAR = 2; // lines up to this many times the candles' height away are kept in view

/** @typedef {{account: string, symbol: string, interval: keyof typeof SECONDS, tick: string}} Subject */
/** @typedef {import("./vendor/lightweight-charts.mjs").UTCTimestamp} Time */
/** @typedef {{time: Time, open: number, high: number, low: number, close: number}} Bar */

export class Pane {
  /** @param {HTMLElement} element @param {import("./store.js").Store} store */
  constructor(element, store) {
    this.element = element;
    this.store = store;
    /** @type {Subject} */
    this.subject = { account: "", symbol: "", interval: "1m", tick: "0.01" };
    /** @type {Bar[]} */
    this.bars = [];
    /** @type {Map<string, {line: any, drawn: string}>} */
    this.lines = new Map();
    /** @type {import("./lines.js").Line[]} */
    this.wanted = [];
    this.above = h("div", { class: "edge above" });
    this.below = h("div", { class: "edge below" });
    this.run = 0;
    this.markerState = "";
    this.chart = createChart(element, OPTIONS);
    this.series = this.chart.addSeries(CandlestickSeries, {
      upColor: COLOURS.up, borderUpColor: COLOURS.up, wickUpColor: COLOURS.up,
      downColor: COLOURS.down, borderDownColor: COLOURS.down, wickDownColor: COLOURS.down,
      autoscaleInfoProvider: (/** @type {() => any} */ original) => this.scale(original()),
    });
    this.markers = createSeriesMarkers(this.series, []);
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      element.dataset.range = range ? `${range.from.toFixed(1)} ${range.to.toFixed(1)}` : "";
      requestAnimationFrame(() => {
        this.drawEdges();
        this.drawMarkers(); // more of their words can be read where bars are wider
      });
    });
    this.chart.subscribeCrosshairMove((move) => (element.dataset.crosshair = String(move.time ?? "")));
    this.refreshed = 0;
    setInterval(() => void this.refresh(), REFRESH_WITHOUT_PRICES_MS);
  }

  /** Show another account, symbol or interval. @param {Subject} subject @param {boolean} again read the same one anew */
  async show(subject, again) {
    const same = JSON.stringify(subject) === JSON.stringify(this.subject);
    if (same && this.bars.length && !again) return;
    this.subject = subject;
    const run = ++this.run;
    if (!same) this.clear();
    if (!subject.account || !subject.symbol) return;
    const places = placesOf(subject.tick);
    this.series.applyOptions({ priceFormat: { type: "price", precision: places, minMove: Number(subject.tick) || 0.01 } });
    const candles = await api.candles(subject.account, subject.symbol, subject.interval, BARS);
    if (run !== this.run) return;
    this.bars = candles.map(readBar);
    this.series.setData(this.bars);
    if (!same) this.chart.timeScale().scrollToRealTime();
    this.live();
    this.draw();
  }

  clear() {
    this.bars = [];
    this.series.setData([]);
    this.markerState = "";
    this.draw();
  }

  /** Take the newest candles again: highs and lows between two prices, and bars that no price began. */
  async refresh() {
    const { account, symbol, interval } = this.subject;
    if (!this.bars.length || document.hidden) return;
    if (this.store.price(account, symbol) && Date.now() - this.refreshed < REFRESH_MS) return;
    this.refreshed = Date.now();
    const run = this.run;
    try {
      const candles = await api.candles(account, symbol, interval, 3);
      if (run !== this.run) return;
      for (const bar of candles.map(readBar)) {
        const last = this.bars.at(-1);
        if (!last || bar.time < last.time) continue;
        if (bar.time === last.time) {
          const close = this.store.price(account, symbol) ? last.close : bar.close;
          this.put({ time: bar.time, open: bar.open, high: Math.max(last.high, bar.high), low: Math.min(last.low, bar.low), close });
        } else this.put(bar);
      }
    } catch {
      // the header says that the engine is away; the next turn asks again
    }
  }

  /** @param {Bar} bar the newest one, changed or begun */
  put(bar) {
    const begins = this.bars.at(-1)?.time !== bar.time;
    if (begins) this.bars.push(bar);
    else this.bars[this.bars.length - 1] = bar;
    this.series.update(bar);
    this.element.dataset.bars = String(this.bars.length);
    if (begins) this.drawMarkers(); // a fill that was told before its bar began stands on the right one now
  }

  /** Bring the latest price into the newest bar. @returns {string} the price as it is written, empty where there is none */
  live() {
    const { account, symbol, interval, tick } = this.subject;
    this.drawEdges();
    const price = this.store.price(account, symbol);
    if (!price) {
      const close = this.bars.at(-1)?.close;
      return close === undefined ? "" : close.toFixed(placesOf(tick));
    }
    const value = Number(price.last);
    const time = bucket(price.time_ms || Date.now(), interval);
    const last = this.bars.at(-1);
    if (last && time >= last.time) {
      const begins = time > last.time;
      this.put(begins ? { time, open: last.close, high: Math.max(last.close, value), low: Math.min(last.close, value), close: value }
        : { ...last, high: Math.max(last.high, value), low: Math.min(last.low, value), close: value });
    }
    return fixed(price.last, placesOf(tick));
  }

  /** Draw lines and markers as the store has them now. */
  draw() {
    const { account, symbol } = this.subject;
    this.wanted = linesOf(this.store.accounts.get(account), symbol);
    this.drawLines(this.wanted);
    this.drawMarkers();
    this.drawEdges();
    const drawn = this.series.priceLines().map((/** @type {any} */ line) => line.options());
    Object.assign(this.element.dataset, {
      account, symbol,
      bars: String(this.series.data().length),
      lines: String(drawn.length),
      lineTitles: drawn.map((line) => `${line.title} @ ${line.price}`).join(" | "),
      markers: String(this.markers.markers().length),
      markerTexts: this.markers.markers().map((/** @type {any} */ marker) => marker.text).join(" | "),
    });
  }

  /** @param {import("./lines.js").Line[]} wanted */
  drawLines(wanted) {
    const ids = new Set(wanted.map((line) => line.id));
    for (const [id, { line }] of this.lines) {
      if (ids.has(id)) continue;
      this.series.removePriceLine(line);
      this.lines.delete(id);
    }
    for (const { textColor, ...line } of wanted) {
      const options = { ...line, lineWidth: 1, axisLabelVisible: true, axisLabelColor: line.color, axisLabelTextColor: textColor };
      const state = JSON.stringify(options);
      const known = this.lines.get(line.id);
      if (!known) this.lines.set(line.id, { line: this.series.createPriceLine(/** @type {any} */ (options)), drawn: state });
      else if (known.drawn !== state) {
        known.line.applyOptions(/** @type {any} */ (options));
        known.drawn = state;
      }
    }
  }

  /** Name the lines that are out of view at the edge beyond which they are, the nearest first. */
  drawEdges() {
    const height = this.chart.paneSize().height;
    const order = this.wanted.find((line) => line.id.startsWith("order "));
    this.element.dataset.orderY = order ? String(Math.round(this.series.priceToCoordinate(order.price) ?? -1)) : "";
    const placed = this.wanted.map((line) => ({ line, y: this.series.priceToCoordinate(line.price) ?? 0 }));
    const above = placed.filter(({ y }) => y < 0).sort((one, other) => other.y - one.y);
    const below = placed.filter(({ y }) => y > height).sort((one, other) => one.y - other.y);
    this.drawEdge(this.above, "↑", this.bars.length ? above : []);
    this.drawEdge(this.below, "↓", this.bars.length ? below : []);
  }

  /** @param {HTMLElement} edge @param {string} arrow @param {{line: import("./lines.js").Line}[]} lines */
  drawEdge(edge, arrow, lines) {
    const places = placesOf(this.subject.tick);
    const state = lines.map(({ line }) => `${line.title} ${line.price} ${line.color}`).join();
    if (edge.dataset.state === state) return;
    edge.dataset.state = state;
    edge.replaceChildren(...lines.map(({ line }) => {
      const chip = h("span", {}, `${arrow} ${line.title} @ ${line.price.toFixed(places)}`);
      chip.style.backgroundColor = line.color;
      chip.style.color = line.textColor;
      return chip;
    }));
  }

  drawMarkers() {
    const { account, symbol, interval } = this.subject;
    const first = this.bars[0]?.time ?? Infinity;
    const latest = this.bars.at(-1)?.time ?? -Infinity;
    const markers = markersOf(this.store.fills.get(account) ?? [], symbol, (ms) => {
      const time = /** @type {Time} */ (Math.min(bucket(ms, interval), latest));
      return time >= first ? time : null;
    });
    const shown = thinned(markers, (SECONDS[interval] * MARKER_WIDTH) / this.chart.timeScale().options().barSpacing);
    const state = JSON.stringify(shown);
    if (state === this.markerState) return;
    this.markerState = state;
    this.markers.setMarkers(/** @type {any} */ (shown));
  }

  /** Keep the lines that are near the candles in view. @param {any} info */
  scale(info) {
    if (!info?.priceRange) return info;
    const { minValue, maxValue } = info.priceRange;
    const reach = (maxValue - minValue) * NEAR;
    const near = this.wanted
      .map((line) => line.price)
      .filter((price) => price > minValue - reach && price < maxValue + reach);
    return { ...info, priceRange: { minValue: Math.min(minValue, ...near), maxValue: Math.max(maxValue, ...near) } };
  }

  clearCrosshair() {
    this.chart.clearCrosshairPosition();
    this.element.dataset.crosshair = ""; // the chart tells of no move here
  }

  /** Where a bar stands among the bars, or -1. @param {number} time */
  indexOf(time) {
    let low = 0;
    let high = this.bars.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = this.bars[middle].time;
      if (found === time) return middle;
      if (found < time) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }
}

/**
 * Two charts move together: what one shows the other shows, and the crosshair stands on the same bar.
 * @param {Pane} one
 * @param {Pane} other
 */
export function link(one, other) {
  let leader = one;
  for (const pane of [one, other]) {
    for (const event of ["pointerenter", "pointerdown", "wheel"]) pane.element.addEventListener(event, () => (leader = pane), { passive: true });
  }
  for (const [from, to] of [[one, other], [other, one]]) {
    from.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (leader !== from || !range || !from.bars.length || !to.bars.length) return;
      const shift = offset(from, to);
      to.chart.timeScale().setVisibleLogicalRange({ from: range.from + shift, to: range.to + shift });
    });
    from.chart.subscribeCrosshairMove((/** @type {any} */ move) => {
      if (!move.sourceEvent) return; // it was set by the other chart
      const price = move.point ? from.series.coordinateToPrice(move.point.y) : null;
      if (move.time === undefined || price === null) to.clearCrosshair();
      else to.chart.setCrosshairPosition(price, move.time, /** @type {any} */ (to.series));
    });
    from.element.addEventListener("pointerleave", () => to.clearCrosshair());
  }
}

/** How far the bars of `to` are shifted against those of `from`. @param {Pane} from @param {Pane} to */
function offset(from, to) {
  const time = Math.min(from.bars.at(-1)?.time ?? 0, to.bars.at(-1)?.time ?? 0);
  const here = from.indexOf(time);
  const there = to.indexOf(time);
  return here < 0 || there < 0 ? to.bars.length - from.bars.length : there - here;
}

/** The local time of the bar that holds a moment. @param {number} ms @param {keyof typeof SECONDS} interval */
function bucket(ms, interval) {
  const length = SECONDS[interval];
  return /** @type {Time} */ (Math.floor(ms / 1000 / length) * length + ZONE_S);
}

/** @param {import("./types.js").Candle} candle @returns {Bar} */
function readBar(candle) {
  const { open, high, low, close } = candle;
  const time = /** @type {Time} */ (candle.open_ms / 1000 + ZONE_S);
  return { time, open: Number(open), high: Number(high), low: Number(low), close: Number(close) };
}

const OPTIONS = /** @type {any} */ ({
  autoSize: true,
  // The library's own logo would need an inline style, which the page's security policy forbids: the header links instead.
  layout: { background: { color: "#10151d" }, textColor: "#9aa7b8", fontSize: 11, attributionLogo: false,
    fontFamily: "Inter, ui-sans-serif, system-ui, 'DejaVu Sans', sans-serif" },
  grid: { vertLines: { color: "#171e29" }, horzLines: { color: "#171e29" } },
  crosshair: { mode: 0, vertLine: { color: "#5a6a80", labelBackgroundColor: "#2a3545" }, horzLine: { color: "#5a6a80", labelBackgroundColor: "#2a3545" } },
  rightPriceScale: { borderColor: "#1d2632", minimumWidth: 72 },
  timeScale: { borderColor: "#1d2632", timeVisible: true, secondsVisible: false, rightOffset: 17, barSpacing: 7 },
});
