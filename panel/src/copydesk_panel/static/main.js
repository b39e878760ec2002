// Puts the parts together: header, bots, charts, ticket, log, over one store.

import { api } from "./api.js";
import { BotsTable } from "./bots.js";
import { Charts } from "./charts.js";
import { connectionsDialog } from "./connections.js";
import { failureDialog } from "./dialog.js";
import { Dock } from "./dock.js";
import { find, h, icon, setText } from "./dom.js";
import { count } from "./format.js";
import { keysDialog, listenToKeys } from "./keys.js";
import { killDialog } from "./kill.js";
import { LogView } from "./log.js";
import { INTERVALS } from "./pane.js";
import { stopDialog } from "./plan.js";
import { Positions } from "./positions.js";
import { beginSession, endRehearsalButton, inviteDialog, maySend } from "./session.js";
import { newBotDialog, settingsDialog } from "./settings.js";
import { Store } from "./store.js";
import { text } from "./text.js";
import { Tickets } from "./tickets.js";
import { Ticket } from "./ticket.js";
import { Welcome } from "./welcome.js";

const store = new Store();

/** @type {import("./bots.js").Choice} */
let choice = { bot: "", child: "" };

const ticket = new Ticket(find("#ticket"), store, (symbol) => void charts.setSymbol(symbol));
const charts = new Charts({ parent: find("#parent-chart"), child: find("#child-chart") }, store, {
  chooseChild: (child) => choose({ bot: choice.bot, child }),
  subject: (account, symbol, instruments) => ticket.setAccount(account, symbol, instruments),
});
const bots = new BotsTable(find("#bots"), store, {
  choose,
  add: () => void newBotDialog(store, wish),
  settings: (name) => void openSettings(name),
});
new LogView(find("#log"), store);
new Positions(find("#positions"), store, { flatten: (name) => void flatten(name), choose, counted: (count) => dock?.count("positions", count) });
new Tickets(find("#tickets"), store, (count) => dock?.count("tickets", count));
const dock = new Dock();

/** The name of a bot that was created here and is to be shown once the engine tells of it. */
let wished = "";

/** @param {string} name */
function wish(name) {
  wished = name;
  store.touch("bots"); // the engine may have told of the bot before its answer came
}

/** @param {import("./bots.js").Choice} wanted */
function choose(wanted) {
  choice = wanted;
  bots.setChoice(wanted);
  const bot = store.bots.get(wanted.bot);
  void charts.setBot(bot?.parent ?? "", wanted.child, bot?.children.map((child) => child.account) ?? []);
}

/** Keep a bot chosen that exists: the one wished for, the one that was chosen, else the first. */
function keepChoice() {
  const bot = store.bots.get(wished) ?? store.bots.get(choice.bot) ?? store.bots.values().next().value;
  if (bot?.name === wished) wished = "";
  const children = bot?.children.map((child) => child.account) ?? [];
  const child = bot?.name === choice.bot && children.includes(choice.child) ? choice.child : (children[0] ?? "");
  choose({ bot: bot?.name ?? "", child });
}
store.on(["bots", "view"], keepChoice);

/** @param {string} name */
async function openSettings(name) {
  try {
    const all = /** @type {import("./types.js").BotSettings[]} */ (await api.bots());
    const settings = all.find((bot) => bot.name === name);
    if (settings) await settingsDialog(store, settings);
  } catch (error) {
    void failureDialog(/** @type {Error} */ (error).message);
  }
}

const working = () => [...store.bots.values()].filter((bot) => bot.status === "Working").length;

/** @param {string} name */
async function flatten(name) {
  try {
    const all = /** @type {import("./types.js").BotSettings[]} */ (await api.bots());
    const settings = all.find((bot) => bot.name === name);
    if (settings) await stopDialog(name, settings, "flatten");
  } catch (error) {
    void failureDialog(/** @type {Error} */ (error).message);
  }
}

function header() {
  const fact = (/** @type {string} */ name) => h("b", { data: { fact: name } }, "0");
  const facts = { working: fact("working"), copied: fact("copied"), missed: fact("missed"), events: fact("events") };
  const state = h("span", { class: "state", role: "status", data: { state: "connecting" } });
  const viewer = h("span", { class: "tag viewer" }, text.header.viewer);
  const banner = h("span", { class: "hazard pill", hidden: true });
  const kill = h("button", { type: "button", class: "halt trades", data: { act: "kill" }, on: { click: () => void killDialog(working()) } }, icon("stop"), text.kill.button);
  const connections = h("button", { type: "button", data: { act: "connections" }, on: { click: () => void connectionsDialog() } }, h("i", { class: "dot", "aria-hidden": "true" }), text.connections.button);
  const more = h("button", { type: "button", class: "plain sign trades", "aria-label": text.invite.title, title: text.invite.title, on: { click: () => void inviteDialog() } }, icon("eye"));
  const keys = h("button", { type: "button", class: "plain sign", "aria-label": text.keys.title, title: text.keys.title, on: { click: () => void keysDialog() } }, "?");
  const newBot = h("button", { type: "button", class: "go trades", data: { act: "new-bot" }, on: { click: () => bots.actions.add() } }, icon("plus"), text.header.newBot);
  find("#header").append(h("h1", {}, text.title), state,
    h("span", { class: "fact" }, text.header.working, " ", facts.working), h("span", { class: "fact" }, text.header.copied, " ", facts.copied),
    h("span", { class: "fact" }, text.header.missed, " ", facts.missed), h("span", { class: "fact" }, text.header.events, " ", facts.events),
    banner, endRehearsalButton(store), h("span", { class: "push" }), viewer, keys, more, connections, newBot, kill);

  store.on(["connection"], () => {
    state.dataset.state = store.connection;
    setText(state, text.connection[store.connection]);
    setText(find("#notice"), store.connectionMessage);
    find("#notice").hidden = store.connectionMessage === "";
    document.body.dataset.connection = store.connection;
    newBot.disabled = store.connection !== "connected";
  });
  store.on(["bots", "accounts", "view"], () => {
    const all = [...store.bots.values()];
    setText(facts.working, `${working()} / ${all.length}`);
    const troubled = [...store.accounts.values()].filter((account) => account.state !== "connected").length;
    connections.dataset.troubled = String(troubled);
    connections.setAttribute("aria-label", text.connections.button + (troubled ? `: ${text.header.troubled(troubled)}` : ""));
    setText(facts.copied, count(all.reduce((total, bot) => total + (bot.copied ?? 0), 0)));
    const missed = all.reduce((total, bot) => total + (bot.missed ?? 0), 0);
    setText(facts.missed, count(missed));
    facts.missed.classList.toggle("some", missed > 0);
    const rehearsed = [...store.accounts.values()].filter((account) => account.rehearsal).length;
    banner.hidden = rehearsed === 0;
    setText(banner, rehearsed === store.accounts.size ? text.rehearsal.banner : text.rehearsal.some);
  });
  let before = 0;
  setInterval(() => {
    setText(facts.events, count(store.eventCount - before));
    before = store.eventCount;
  }, 1000);
}

new Welcome(find("#welcome"), store);
header();
listenToKeys({
  n: () => maySend() && bots.actions.add(),
  K: () => maySend() && void killDialog(working()),
  l: () => dock.open("log", true),
  p: () => dock.open("positions", true),
  t: () => dock.open("tickets", true),
  c: () => void connectionsDialog(),
  "?": () => void keysDialog(),
  "/": () => {
    dock.open("log");
    find("#log input[type=search]").focus();
  },
  ...Object.fromEntries(INTERVALS.map((interval, index) => [String(index + 1), () => void charts.setInterval(interval)])),
});
store.touch("connection");
store.touch("bots");
store.start();
void beginSession(store);
