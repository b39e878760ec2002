// The whole story of one copy: the parent's order, balances and ratio, rounding, requests and answers, times and prices.

import { api } from "./api.js";
import { showDialog } from "./dialog.js";
import { h } from "./dom.js";
import { fullTime, grouped, latency, logTime, plain, rounded } from "./format.js";
import { text } from "./text.js";
import { dismissTicket, sendTicket } from "./tickets.js";

const NOT_FOUND = 404;
const STALE_MS = 5000; // a parent's event that the venue dates further back was not news when it was read
const SLOW_SHARE = 0.005; // narrower bars could not be seen

/** @typedef {import("./types.js").Story} Story @typedef {import("./types.js").ChildStory} ChildStory */

/** @param {import("./store.js").Store} store @param {import("./types.js").LogEntry} entry */
export async function storyDialog(store, entry) {
  /** @type {Story | null} */
  let story = null;
  let trouble = "";
  try {
    story = /** @type {Story} */ (await api.story(entry.seq ?? 0));
  } catch (error) {
    const { status, message } = /** @type {import("./api.js").ApiError} */ (error);
    if (status !== NOT_FOUND) trouble = message;
  }
  const found = story;
  await showDialog(found ? text.story.title : text.story.lineTitle, (close) => [
    ...(found ? storyParts(store, found, entry) : lineParts(entry, trouble)),
    h("div", { class: "buttons" }, h("button", { type: "button", autofocus: true, on: { click: close } }, text.dialog.close)),
  ], found ? "story" : "plan");
}

/** A line that is part of no copy: all that it says. @param {import("./types.js").LogEntry} entry @param {string} trouble */
function lineParts(entry, trouble) {
  const facts = [[text.log.columns.time, fullTime(entry.at_ns)], [text.log.columns.bot, entry.bot], [text.log.columns.account, entry.account], [text.log.columns.kind, entry.kind],
    ...Object.entries(entry.data ?? {}).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)])];
  return [h("p", { class: "story-line", data: { level: entry.level } }, entry.text), factList(facts), trouble ? h("p", { class: "error", role: "alert" }, trouble) : ""];
}

/** @param {(string | undefined)[][]} facts */
const factList = (facts) => h("dl", { class: "story-facts" }, ...facts.filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));

/** @param {import("./store.js").Store} store @param {Story} story @param {import("./types.js").LogEntry} entry */
function storyParts(store, story, entry) {
  const children = story.children ?? [];
  const place = h("div", { class: "story-child", role: "tabpanel", "aria-live": "polite" });
  const tabs = children.map((child) => h("button", { type: "button", role: "tab", data: { child: child.account }, on: { click: () => show(child) } },
    child.account, h("i", { class: `tag ${wentWell(child) ? "good" : "warn"}` }, wentWell(child) ? text.story.copied : text.story.notCopied)));
  const show = (/** @type {ChildStory} */ child) => {
    tabs.forEach((tab, index) => tab.setAttribute("aria-selected", String(children[index] === child)));
    place.replaceChildren(...childParts(store, story, child));
  };
  const first = children.find((child) => child.account === entry.account) ?? children[0];
  if (first) show(first);
  return [parentPart(story), h("div", { class: "tabs", role: "tablist", "aria-label": text.story.children }, ...tabs), first ? place : h("p", { class: "dim" }, text.story.nobody)];
}

/** @param {ChildStory} child */
const wentWell = (child) => (child.requests ?? []).some((request) => request.outcome === "accepted");

/** @param {Story} story */
function parentPart(story) {
  const { order } = story;
  return h("section", { class: "story-parent" }, h("p", { class: "story-order" }, h("span", { class: "dim" }, `${story.parent} · `), order ? text.terms(order.terms) : story.symbol),
    factList([
      [text.story.order, story.parent_order],
      [text.story.when, story.read_ns ? logTime(story.read_ns) : ""],
      [text.story.status, order?.status],
      [text.story.filled, Number(story.filled ?? 0) ? text.story.at(plain(story.filled), rounded(story.price ?? "0", 8)) : ""],
      [text.story.equity, story.balance ? `${grouped(story.balance.equity)} ${story.balance.currency}` : ""],
    ]));
}

/** @param {import("./store.js").Store} store @param {Story} story @param {ChildStory} child */
function childParts(store, story, child) {
  const ticket = [...store.tickets.values()].find((one) => one.child === child.account && one.parent_order === story.parent_order);
  return [
    section(text.story.howMuch, ...sizing(story, child)),
    child.requests?.length ? section(text.story.requests, waterfall(story, child)) : null,
    child.price ? section(text.story.prices, priceFacts(story, child)) : null,
    ticket ? section(text.story.ticket, h("p", {}, text.terms(ticket.terms), h("small", {}, ` ${ticket.why}`)),
      h("div", { class: "story-ticket" }, h("button", { type: "button", class: "small go trades", on: { click: () => void sendTicket(ticket) } }, text.tickets.send),
        h("button", { type: "button", class: "small trades", on: { click: () => void dismissTicket(ticket) } }, text.tickets.dismiss))) : null,
    section(text.story.lines, h("ol", { class: "story-lines" }, ...[...(story.lines ?? []), ...(child.lines ?? [])].sort((one, other) => (one.seq ?? 0) - (other.seq ?? 0))
      .map((line) => h("li", { data: { level: line.level } }, h("span", { class: "dim" }, logTime(line.at_ns)), h("span", {}, line.text))))),
  ].filter((part) => part !== null);
}

/** @param {string} title @param {...Node} parts */
const section = (title, ...parts) => h("section", {}, h("h3", {}, title), ...parts);

/** How its quantity came about. @param {Story} story @param {ChildStory} child */
function sizing(story, child) {
  const steps = [];
  const ratio = child.ratio ? rounded(child.ratio, 8) : "";
  if (child.mode === "multiplier") steps.push(text.story.multiplierOf(ratio));
  else if (child.own && child.parents) {
    steps.push(text.story.ratioOf(text.story.bases[child.basis ?? ""] ?? child.basis, grouped(child.own), `${grouped(child.parents)} ${story.balance?.currency ?? ""}`.trim(), plain(child.value ?? ""), ratio));
  } else if (ratio) steps.push(text.story.ratioUsed(ratio));
  if (child.mode === "percentage" && child.frozen_ns) steps.push(text.story.frozen(logTime(child.frozen_ns)));
  const size = story.order ? plain(story.order.terms.quantity) : "";
  if (size && child.exact) steps.push(text.story.exact(size, ratio.replace("-", ""), rounded(child.exact, 10)));
  if (child.asked && child.exit) steps.push(text.story.closes(plain(child.asked)));
  else if (child.asked) steps.push(text.story.rounded(text.policy(child.rounding ?? ""), plain(child.step ?? ""), plain(child.asked)));
  return steps.length ? [h("ol", { class: "story-steps" }, ...steps.map((step) => h("li", {}, step)))] : [h("p", { class: "dim" }, text.story.unknownSize)];
}

/** The latency of each request: from the parent's event at its venue to the child's fill. @param {Story} story @param {ChildStory} child */
function waterfall(story, child) {
  const requests = child.requests ?? [];
  const lines = requests.map((request) => {
    const read = request.received_ns;
    const told = story.venue_ns && request === requests[0] && read > story.venue_ns && (read - story.venue_ns) / 1e6 < STALE_MS ? story.venue_ns : 0;
    const came = /** @type {[string, number][]} */ ([["told", read], ["decoded", request.decoded_ns ?? 0], ["planned", request.planned_ns ?? 0], ["journalled", request.journalled_ns ?? 0],
      ["sent", request.sent_ns ?? 0], ["answered", request.answered_ns ?? 0], ["filled", request.filled_ns ?? 0]]);
    const parts = /** @type {[string, number, number][]} */ ([]);
    let from = told;
    for (const [name, to] of came) {
      if (from && to > from) parts.push([name, from, to]);
      if (to) from = Math.max(from, to);
    }
    return { request, start: told || read, parts };
  });
  const longest = Math.max(1, ...lines.map(({ start, parts }) => (parts.at(-1)?.[2] ?? start) - start));
  return h("div", { class: "waterfall" }, ...lines.map(({ request, start, parts }) => {
    const bar = h("div", { class: "fall-bar", "aria-hidden": "true" });
    for (const [name, from, to] of parts) {
      const part = h("i", { class: `fall ${name}` });
      part.style.left = `${((from - start) / longest) * 100}%`;
      part.style.width = `${Math.max(SLOW_SHARE, (to - from) / longest) * 100}%`;
      bar.append(part);
    }
    const words = parts.map(([name, from, to]) => h("span", { class: `key ${name}` }, `${text.story.parts[name]} ${latency((to - from) / 1000)}`));
    return h("div", { class: "fall-line", data: { outcome: request.outcome || "open" } },
      h("div", { class: "fall-head" }, h("b", {}, request.what), h("span", { class: "dim" }, ` · ${text.story.why(request.why)}`),
        h("i", { class: `tag ${request.outcome === "accepted" ? "good" : "warn"}` }, text.story.outcomes[request.outcome || "open"] ?? request.outcome), request.message ? h("small", {}, request.message) : null),
      bar, h("div", { class: "fall-words" }, ...words, h("span", { class: "dim id" }, request.client_id)));
  }));
}

/** @param {Story} story @param {ChildStory} child */
function priceFacts(story, child) {
  const worse = Number(child.difference ?? 0);
  const list = factList([
    [text.story.parentPrice, story.price ? rounded(story.price, 8) : ""],
    [text.story.childPrice, text.story.at(plain(child.filled), rounded(child.price ?? "0", 8))],
    [text.story.difference, child.difference === undefined || child.difference === null ? "" : text.story.differenceOf(rounded(child.difference, 8), rounded(child.ticks ?? "0", 1), child.money ? `${rounded(child.money, 4)} ${child.currency ?? ""}` : "", worse)],
  ]);
  list.dataset.worse = String(worse > 0);
  return list;
}

