// Manual tickets: what could not be copied, filled in to be sent or let go before it expires.

import { api } from "./api.js";
import { confirmDialog } from "./dialog.js";
import { h, setText } from "./dom.js";
import { duration, logTime } from "./format.js";
import { text } from "./text.js";
import { VirtualRows } from "./virtual.js";

const ROW = 26;
const CELLS = /** @type {const} */ (["time", "bot", "child", "order", "why", "expires", "act"]);

/** @typedef {import("./types.js").ManualTicket} ManualTicket */

/** Ask once more, then send. @param {ManualTicket} ticket */
export const sendTicket = (ticket) => confirmDialog({ title: text.tickets.sendTitle(ticket.child), body: [text.terms(ticket.terms), ticket.why, text.tickets.sendBody],
  action: text.tickets.send, run: () => api.sendTicket(ticket.id) });

/** @param {ManualTicket} ticket */
export const dismissTicket = (ticket) => confirmDialog({ title: text.tickets.dismissTitle, body: [text.terms(ticket.terms), ticket.why, text.tickets.dismissBody],
  action: text.tickets.dismiss, run: () => api.dismissTicket(ticket.id) });

export class Tickets {
  /** @param {HTMLElement} root @param {import("./store.js").Store} store @param {(count: number) => void} counted */
  constructor(root, store, counted) {
    this.store = store;
    this.counted = counted;
    const head = h("div", { class: "ticket-row rows-head", role: "row" }, ...CELLS.map((cell) => h("span", { role: "columnheader", class: `t-${cell}` }, text.tickets.columns[cell])));
    this.list = new VirtualRows({ height: ROW, make: () => this.make(), write: (row, item) => this.write(row, item) }, head, { class: "rows-scroll", role: "table", "aria-label": text.tickets.title });
    this.note = h("div", { class: "empty" }, text.tickets.none);
    this.list.scroller.append(this.note);
    root.append(h("div", { class: "bar" }, h("span", { class: "dim" }, text.tickets.hint)), this.list.scroller);
    store.on(["tickets", "view"], () => this.render());
    setInterval(() => this.render(), 1000); // they expire
  }

  render() {
    const open = [...this.store.tickets.values()].filter((ticket) => (ticket.status ?? "open") === "open" && ticket.expires_ns / 1e6 > Date.now());
    open.sort((one, other) => other.created_ns - one.created_ns);
    this.counted(open.length);
    this.note.hidden = open.length > 0;
    this.list.show(open);
  }

  make() {
    const cells = Object.fromEntries(CELLS.map((cell) => [cell, h("span", { role: "cell", class: `t-${cell}` })]));
    const made = { line: h("div", { class: "ticket-row", role: "row" }, ...Object.values(cells)), cells, item: /** @type {ManualTicket | null} */ (null),
      send: h("button", { type: "button", class: "small go trades" }, text.tickets.send), dismiss: h("button", { type: "button", class: "small trades" }, text.tickets.dismiss) };
    made.send.addEventListener("click", () => made.item && void sendTicket(made.item));
    made.dismiss.addEventListener("click", () => made.item && void dismissTicket(made.item));
    cells.act.append(made.send, made.dismiss);
    return made;
  }

  /** @param {any} row @param {ManualTicket} item */
  write(row, item) {
    row.item = item;
    const { cells } = row;
    setText(cells.time, logTime(item.created_ns));
    setText(cells.bot, item.bot);
    setText(cells.child, item.child);
    setText(cells.order, text.terms(item.terms));
    setText(cells.why, item.why);
    cells.why.title = item.why;
    setText(cells.expires, duration(item.expires_ns - Date.now() * 1e6));
    row.line.dataset.ticket = item.id;
    row.send.setAttribute("aria-label", text.tickets.sendOf(item.child));
    row.dismiss.setAttribute("aria-label", text.tickets.dismissOf(item.child));
  }
}
