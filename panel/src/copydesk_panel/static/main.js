// Puts the parts together: header, bots, charts, ticket, log, over one store.

import { api } from "./api.js";
import { BotsTable } from "./bots.js";
import { Charts } from "./charts.js";
import { confirmDialog, failureDialog } from "./dialog.js";
import { find, h, icon, setText } from "./dom.js";
import { count } from "./format.js";
import { LogView } from "./log.js";
import { newBotDialog, settingsDialog } from "./newbot.js";
import { Store } from "./store.js";
import { text } from "./text.js";
import { Ticket } from "./ticket.js";

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

function header() {
  const fact = (/** @type {string} */ name) => h("b", { data: { fact: name } }, "0");
  const facts = { working: fact("working"), copied: fact("copied"), missed: fact("missed"), events: fact("events") };
  const state = h("span", { class: "state", role: "status", data: { state: "connecting" } });
  const banner = h("span", { class: "hazard pill", hidden: true });
  const stopAll = h("button", { type: "button", class: "halt", on: { click: () => void stopEverything() } }, icon("stop"), text.header.stopAll);
  const newBot = h("button", { type: "button", class: "go", data: { act: "new-bot" }, on: { click: () => bots.actions.add() } }, icon("plus"), text.header.newBot);
  find("#header").append(h("h1", {}, text.title), state,
    h("span", { class: "fact" }, text.header.working, " ", facts.working), h("span", { class: "fact" }, text.header.copied, " ", facts.copied),
    h("span", { class: "fact" }, text.header.missed, " ", facts.missed), h("span", { class: "fact" }, text.header.events, " ", facts.events),
    banner, h("span", { class: "push" }), newBot, stopAll);

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
    const working = all.filter((bot) => bot.status === "Working").length;
    setText(facts.working, `${working} / ${all.length}`);
    setText(facts.copied, count(all.reduce((total, bot) => total + (bot.copied ?? 0), 0)));
    const missed = all.reduce((total, bot) => total + (bot.missed ?? 0), 0);
    setText(facts.missed, count(missed));
    facts.missed.classList.toggle("some", missed > 0);
    stopAll.disabled = working === 0;
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

async function stopEverything() {
  const working = [...store.bots.values()].filter((bot) => bot.status === "Working");
  await confirmDialog({
    title: text.confirm.stopAllTitle,
    body: [text.confirm.stopAllBody(working.length)],
    action: text.confirm.stopAll,
    run: async () => {
      const results = await Promise.allSettled(working.map((bot) => api.stopBot(bot.name)));
      const failed = results.filter((result) => result.status === "rejected");
      if (failed.length) throw new Error(failed.map((result) => result.reason.message).join(" "));
    },
  });
}

header();
store.touch("connection");
store.touch("bots");
store.start();
