// The connections: how each is, how far its venue is, what its key may do, what is left of its limits; and connecting anew.

import { api } from "./api.js";
import { errorLine, showDialog, showError } from "./dialog.js";
import { h, icon, setText } from "./dom.js";
import { count, duration, latency } from "./format.js";
import { text } from "./text.js";

const EVERY_MS = 2000;
const FULL = 0.8;
const SKEWED_MS = 1000;

/** @typedef {import("./types.js").ConnectionView} ConnectionView */

/** What wants a look. @param {ConnectionView} connection */
export const isWell = (connection) => connection.state === "connected" && !mayWithdraw(connection);

/** @param {ConnectionView} connection */
const mayWithdraw = (connection) => (connection.permissions ?? []).some((permission) => /withdraw/i.test(permission) && !permission.endsWith("(read)"));

export function connectionsDialog() {
  return showDialog(text.connections.title, (close) => {
    const rows = /** @type {Map<string, ConnectionRow>} */ (new Map());
    const list = h("ul", { class: "connections" });
    const error = errorLine();
    const empty = h("p", { class: "dim", hidden: true }, text.connections.none);
    const show = (/** @type {ConnectionView[]} */ found) => {
      empty.hidden = found.length > 0;
      const sorted = [...found].sort((one, other) => Number(isWell(one)) - Number(isWell(other)) || one.name.localeCompare(other.name, undefined, { numeric: true }));
      for (const connection of sorted) {
        const row = rows.get(connection.name) ?? new ConnectionRow(connection.name, (sentence) => showError(error, sentence));
        if (!rows.has(connection.name)) list.append(row.element);
        rows.set(connection.name, row);
        row.update(connection);
      }
    };
    const ask = async () => {
      try {
        show(await api.connections());
        showError(error, "");
      } catch (problem) {
        showError(error, /** @type {Error} */ (problem).message);
      }
      if (list.isConnected) setTimeout(() => void ask(), EVERY_MS);
    };
    setTimeout(() => void ask());
    return [list, empty, error, h("div", { class: "buttons" }, h("button", { type: "button", autofocus: true, on: { click: close } }, text.dialog.close))];
  }, "wide");
}

class ConnectionRow {
  /** @param {string} name @param {(sentence: string) => void} fail */
  constructor(name, fail) {
    this.state = h("span", { class: "link-state" });
    this.kind = h("span", { class: "dim" });
    this.mark = h("span", { class: "hazard pill" }, text.rehearsal.badge);
    this.message = h("p", { class: "link-message" });
    this.facts = h("dl", { class: "link-facts" });
    this.again = h("button", { type: "button", class: "small trades", "aria-label": text.connections.reconnectOf(name), on: { click: async () => {
      this.again.disabled = true;
      try {
        await api.reconnect(name);
      } catch (problem) {
        fail(/** @type {Error} */ (problem).message);
      } finally {
        this.again.disabled = false;
      }
    } } }, icon("undo"), text.connections.reconnect);
    this.element = h("li", { data: { connection: name } }, h("div", { class: "link-head" }, this.state, h("b", {}, name), this.kind, this.mark, h("span", { class: "push" }), this.again), this.message, this.facts);
  }

  /** @param {ConnectionView} connection */
  update(connection) {
    const { budget } = connection;
    this.element.dataset.state = connection.state;
    setText(this.state, text.connections.states[connection.state] ?? connection.state);
    setText(this.kind, connection.title || connection.kind);
    this.mark.hidden = !connection.rehearsal;
    const dangers = [connection.closed_on ? text.connections.closed(connection.title, connection.closed_on) : "", mayWithdraw(connection) ? text.connections.withdraws : ""];
    setText(this.message, [...dangers, connection.message ?? ""].filter(Boolean).join(" · "));
    this.message.hidden = !this.message.textContent;
    this.message.classList.toggle("danger", mayWithdraw(connection));
    const facts = /** @type {[string, string, boolean][]} */ ([
      [text.connections.since, connection.since_ns ? duration(Date.now() * 1e6 - connection.since_ns) : "—", false],
      [text.connections.trip, connection.round_trip ? text.connections.tripOf(latency(connection.round_trip.p50_us), latency(connection.round_trip.p99_us)) : text.connections.noTrip, false],
      [text.connections.clock, typeof connection.clock_offset_ms === "number" ? text.connections.clockOf(connection.clock_offset_ms) : "—", Math.abs(connection.clock_offset_ms ?? 0) > SKEWED_MS],
      [text.connections.budget, budget?.requests_per_minute ? text.connections.budgetOf(count(budget.requests_used ?? 0), count(budget.requests_per_minute), budget.scope) : text.connections.noBudget,
        (budget?.requests_used ?? 0) > FULL * (budget?.requests_per_minute || Infinity)],
      [text.connections.orders, budget?.orders_per_second ? `${budget.orders_used ?? 0} / ${budget.orders_per_second} s⁻¹` : "—", false],
      [text.connections.pauses, text.connections.pausesOf(connection.pauses ?? 0, connection.pause_left_ms ?? 0), (connection.pause_left_ms ?? 0) > 0],
      [text.connections.permissions, connection.permissions ? connection.permissions.join(", ") || text.connections.noPermissions : text.connections.untold, mayWithdraw(connection)],
      [text.connections.accounts, text.connections.accountsOf(connection.accounts ?? []), false],
    ]);
    if (budget?.waiting) facts.push([text.connections.waiting, count(budget.waiting), true]);
    this.facts.replaceChildren(...facts.map(([name, value, wants]) => h("div", { class: wants ? "wants" : "" }, h("dt", {}, name), h("dd", {}, value))));
    if (budget?.requests_per_minute) {
      const meter = h("meter", { min: "0", max: String(budget.requests_per_minute), high: String(FULL * budget.requests_per_minute), value: String(budget.requests_used ?? 0), "aria-label": text.connections.budget });
      this.facts.children[3].append(meter);
    }
  }
}
