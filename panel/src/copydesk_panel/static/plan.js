// What a start, a stop or a correction would do, shown before it is done: the plan is asked for, and its digest confirms it.
// Where the world has moved between the two, the engine refuses, and the new plan is shown.

import { api } from "./api.js";
import { errorLine, showDialog, showError } from "./dialog.js";
import { h } from "./dom.js";
import { plain } from "./format.js";
import { text } from "./text.js";

const CONFLICT = 409;
const SHOWN_SENDS = 8;
const START = /** @type {const} */ (["ignore", "adopt", "copy_now", "copy_if_better"]);
const STOP = /** @type {const} */ (["leave", "wind_down", "cancel_entries", "cancel_all", "flatten"]);

/** @typedef {import("./types.js").Plan} Plan */

/** @param {string} name @param {import("./types.js").BotSettings} settings */
export function startDialog(name, settings) {
  const own = settings.start?.policy ?? "ignore";
  return planDialog({
    title: text.plan.startTitle(name),
    action: text.plan.start,
    danger: false,
    choices: START.map((policy) => ({ value: policy, words: text.plan.startPolicies[policy], own: policy === own })),
    begin: own,
    ask: (policy) => api.planStart(name, { policy }),
    run: (policy, digest) => api.startBot(name, { policy, digest }),
    describe: (plan) => startFacts(plan),
  });
}

/** @param {string} name @param {import("./types.js").BotSettings} settings @param {string} [begin] the policy to begin with */
export function stopDialog(name, settings, begin) {
  const own = settings.stop ?? "leave";
  return planDialog({
    title: text.plan.stopTitle(name),
    action: text.plan.stop,
    danger: true,
    choices: STOP.map((policy) => ({ value: policy, words: text.plan.stopPolicies[policy], own: policy === own })),
    begin: begin ?? own,
    ask: (policy) => api.planStop(name, { policy }),
    run: (policy, digest) => api.stopBot(name, { policy, digest }),
    describe: () => [],
  });
}

/** Deleting tells what happens to what the children have: it is stopped first, and that stop has its plan. @param {string} name @param {boolean} working */
export function deleteDialog(name, working) {
  return planDialog({
    title: text.confirm.deleteTitle(name),
    action: text.confirm.delete,
    danger: true,
    choices: STOP.filter((policy) => policy !== "wind_down").map((policy) => ({ value: policy, words: text.plan.stopPolicies[policy], own: false })),
    begin: "leave",
    intro: [text.confirm.deleteBody, working ? text.confirm.deleteWorking : ""],
    ask: (policy) => api.planStop(name, { policy }),
    run: async (policy, digest) => {
      await api.stopBot(name, { policy, digest });
      await api.removeBot(name);
    },
    describe: () => [],
  });
}

/** @param {import("./types.js").Drift} row */
export function missingDialog(row) {
  const order = { child: row.child, symbol: row.symbol, position_side: row.position_side };
  return planDialog({
    title: text.plan.missingTitle(row.symbol, row.child),
    action: text.plan.missing,
    danger: false,
    choices: [],
    begin: "",
    ask: async () => {
      const plan = await api.planMissing(row.bot, order);
      return { ...plan, children: [{ account: row.child, sends: plan.sends ?? [] }] };
    },
    run: (_, digest) => api.copyMissing(row.bot, { ...order, digest }),
    describe: (plan) => [
      [text.drift.columns.target, plain(plan.target ?? "0")],
      [text.drift.columns.attributed, plain(plan.attributed ?? "0")],
      [text.drift.columns.in_flight, plain(plan.in_flight ?? "0")],
    ],
  });
}

/**
 * @param {{title: string, action: string, danger: boolean, begin: string, intro?: string[],
 *   choices: {value: string, words: string, own: boolean}[],
 *   ask: (policy: string) => Promise<Plan>, run: (policy: string, digest: string) => Promise<unknown>,
 *   describe: (plan: Plan) => string[][]}} question
 */
function planDialog(question) {
  return showDialog(question.title, (close) => new PlanForm(question, close).elements, "plan");
}

class PlanForm {
  /** @param {any} question @param {() => void} close */
  constructor(question, close) {
    this.question = question;
    this.close = close;
    this.policy = question.begin;
    this.digest = "";
    this.run = 0;
    this.error = errorLine();
    this.body = h("div", { class: "plan-body", "aria-live": "polite", "aria-busy": "true" });
    this.confirm = h("button", { type: "submit", class: question.danger ? "halt" : "go", data: { act: "confirm" } }, question.action);
    this.radios = question.choices.map((/** @type {any} */ choice) => this.radio(choice));
    this.form = h("form", { novalidate: true, on: { submit: (/** @type {Event} */ event) => void this.send(event) } },
      ...(question.intro ?? []).filter(Boolean).map((/** @type {string} */ line) => h("p", {}, line)),
      this.radios.length ? h("fieldset", { class: "choices" }, h("legend", {}, text.plan.how), ...this.radios) : null,
      this.body, this.error,
      h("div", { class: "buttons" }, h("button", { type: "button", autofocus: true, on: { click: close } }, text.dialog.cancel), this.confirm));
    void this.ask();
  }

  get elements() {
    return [this.form];
  }

  /** @param {{value: string, words: string, own: boolean}} choice */
  radio(choice) {
    const input = h("input", { type: "radio", name: "policy", value: choice.value, checked: choice.value === this.policy,
      on: { change: () => { this.policy = choice.value; showError(this.error, ""); void this.ask(); } } });
    return h("label", { class: "choice" }, input, h("span", {}, h("b", {}, text.policy(choice.value)), choice.own ? h("i", { class: "tag" }, text.plan.own) : null, h("small", {}, choice.words)));
  }

  /** Ask for the plan and show it. */
  async ask() {
    const run = ++this.run;
    this.confirm.disabled = true;
    this.body.setAttribute("aria-busy", "true");
    try {
      const plan = await this.question.ask(this.policy);
      if (run !== this.run) return;
      this.digest = plan.digest ?? "";
      this.body.replaceChildren(...planParts(plan, this.question.describe(plan)));
      this.confirm.disabled = (plan.refusals ?? []).length > 0;
    } catch (problem) {
      if (run !== this.run) return;
      this.body.replaceChildren();
      showError(this.error, /** @type {Error} */ (problem).message);
    } finally {
      if (run === this.run) this.body.setAttribute("aria-busy", "false");
    }
  }

  /** @param {Event} event */
  async send(event) {
    event.preventDefault();
    this.confirm.disabled = true;
    showError(this.error, "");
    try {
      await this.question.run(this.policy, this.digest);
      this.close();
    } catch (problem) {
      const { status, message } = /** @type {import("./api.js").ApiError} */ (problem);
      showError(this.error, message);
      this.confirm.disabled = false;
      if (status === CONFLICT) await this.ask(); // it moved: what would be done now is shown
    }
  }
}

/** @param {Plan} plan @returns {string[][]} */
function startFacts(plan) {
  const positions = (plan.positions ?? []).map((position) => `${plain(position.quantity)} ${position.symbol}`);
  const orders = (plan.orders ?? []).length;
  return [[text.plan.parentHas, [...positions, orders ? text.plan.orders(orders) : ""].filter(Boolean).join(", ") || text.plan.nothing]];
}

/** @param {Plan} plan @param {string[][]} facts @returns {Node[]} */
export function planParts(plan, facts) {
  const children = (plan.children ?? []).filter((child) => (child.sends ?? []).length || (child.remarks ?? []).length || (child.leverage ?? []).length);
  const count = (plan.children ?? []).reduce((total, child) => total + (child.sends ?? []).length + (child.leverage ?? []).length, 0);
  const warnings = [...(plan.refusals ?? []).map((line) => ["refusal", line]), ...(plan.warnings ?? []).map((line) => ["warning", line])];
  return [
    facts.length ? h("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])) : null,
    warnings.length ? h("ul", { class: "remarks" }, ...warnings.map(([kind, line]) => h("li", { class: kind }, line))) : null,
    plan.refusals?.length ? null : h("p", { class: "sum", data: { sends: count } }, count ? text.plan.sends(count) : text.plan.sendsNothing),
    ...children.map(childPart),
  ].filter((part) => part !== null);
}

/** @param {import("./types.js").PlannedChild} child */
function childPart(child) {
  const sends = child.sends ?? [];
  const rows = sends.slice(0, SHOWN_SENDS).map((send) => h("li", { class: `send ${send.terms.side}` },
    h("span", { class: "verb" }, text.plan.verbs[send.what] ?? send.what), h("span", {}, text.terms(send.terms)),
    !send.protects ? null : send.what === "cancel" ? h("i", { class: "tag warn" }, text.plan.bares) : h("i", { class: "tag good" }, text.plan.protects)));
  if (sends.length > SHOWN_SENDS) rows.push(h("li", { class: "dim" }, text.plan.more(sends.length - SHOWN_SENDS)));
  for (const change of child.leverage ?? []) rows.push(h("li", { class: "send" }, h("span", { class: "verb" }, text.plan.leverage), h("span", {}, `${change.symbol} ${plain(change.leverage)} ×`)));
  for (const remark of child.remarks ?? []) rows.push(h("li", { class: "dim" }, remark));
  return h("section", { class: "planned" }, h("h3", {}, child.account), h("ul", {}, ...rows));
}
