// Lines of orders that can be taken and moved, on a rehearsal account: the order follows once the line is let go.

import { api } from "./api.js";
import { h, setText } from "./dom.js";
import { fixed, placesOf } from "./format.js";
import { maySend } from "./session.js";
import { text } from "./text.js";

const REACH = 6; // pixels around a line in which it is taken
const ESCAPE = "Escape";

export class LineDrag {
  /** @param {import("./pane.js").Pane} pane @param {import("./store.js").Store} store @param {(sentence: string) => void} tell */
  constructor(pane, store, tell) {
    this.pane = pane;
    this.store = store;
    this.tell = tell;
    /** @type {{key: string, from: number, price: number} | null} */
    this.held = null;
    this.ghost = h("div", { class: "ghost", hidden: true, "aria-hidden": "true" }, h("span", {}));
    pane.element.after(this.ghost);
    const { element } = pane;
    element.addEventListener("pointerdown", (event) => this.take(event), { capture: true });
    element.addEventListener("mousedown", (event) => this.held && event.stopPropagation(), { capture: true }); // the chart itself does not scroll then
    element.addEventListener("touchstart", (event) => this.held && event.stopPropagation(), { capture: true });
    element.addEventListener("pointermove", (event) => this.move(event), { capture: true });
    element.addEventListener("pointerup", () => void this.drop(), { capture: true });
    element.addEventListener("pointercancel", () => this.let(), { capture: true });
    document.addEventListener("keydown", (event) => event.key === ESCAPE && this.let());
  }

  get account() {
    return this.store.accounts.get(this.pane.subject.account);
  }

  /** The order whose line is under the pointer. @param {PointerEvent} event @returns {{key: string, price: number} | null} */
  at(event) {
    if (!maySend() || !this.account?.rehearsal) return null;
    const y = event.clientY - this.pane.element.getBoundingClientRect().top;
    let nearest = null;
    let reach = REACH;
    for (const line of this.pane.wanted) {
      const at = line.id.startsWith("order ") ? this.pane.series.priceToCoordinate(line.price) : null;
      if (at === null || Math.abs(at - y) > reach) continue;
      reach = Math.abs(at - y);
      nearest = { key: line.id.slice("order ".length), price: line.price };
    }
    return nearest;
  }

  /** @param {PointerEvent} event */
  take(event) {
    const found = event.button === 0 ? this.at(event) : null;
    if (!found) return;
    this.held = { key: found.key, from: found.price, price: found.price };
    this.pane.element.setPointerCapture(event.pointerId);
    event.stopPropagation();
    this.show(event);
  }

  /** @param {PointerEvent} event */
  move(event) {
    if (!this.held) {
      this.pane.element.classList.toggle("grabs", this.at(event) !== null);
      return;
    }
    event.stopPropagation();
    this.show(event);
  }

  /** @param {PointerEvent} event */
  show(event) {
    if (!this.held) return;
    const box = this.pane.element.getBoundingClientRect();
    const y = Math.min(box.height - 1, Math.max(0, event.clientY - box.top));
    const tick = Number(this.pane.subject.tick) || 0.01;
    const price = this.pane.series.coordinateToPrice(y);
    if (price === null) return;
    this.held.price = Math.max(tick, Math.round(Number(price) / tick) * tick);
    this.ghost.hidden = false;
    this.ghost.style.top = `${this.pane.series.priceToCoordinate(this.held.price) ?? y}px`;
    setText(this.ghost.firstChild, this.written(this.held.price));
  }

  /** @param {number} price */
  written(price) {
    const places = placesOf(this.pane.subject.tick);
    return fixed(price.toFixed(places), places);
  }

  let() {
    this.held = null;
    this.ghost.hidden = true;
  }

  async drop() {
    const { held, account } = this;
    if (!held) return;
    this.let();
    const order = account?.orders.get(held.key);
    if (order && account && held.price !== held.from) await moveOrder(account.key, order, this.written(held.price), this.pane.subject.tick, this.tell);
  }
}

/**
 * Give a working order another price; a stop-limit order's limit goes with its trigger.
 * @param {string} key
 * @param {import("./types.js").Order} order
 * @param {string} price
 * @param {string} tick
 * @param {(sentence: string) => void} tell what went wrong
 */
export async function moveOrder(key, order, price, tick, tell) {
  const { terms } = order;
  const places = placesOf(tick);
  const moved = { ...terms };
  if (terms.trigger_price) {
    if (terms.price) moved.price = (Number(terms.price) + Number(price) - Number(terms.trigger_price)).toFixed(places);
    moved.trigger_price = price;
  } else moved.price = price;
  const ref = { symbol: terms.symbol, type: terms.type, venue_id: order.venue_id, client_id: order.client_id ?? "" };
  try {
    const { outcome } = await api.modify(key, { ref, terms: moved });
    if (outcome.type !== "accepted") tell(outcome.type === "rejected" ? text.ticket.rejected(outcome.message ?? "") : text.ticket.unknown(outcome.message ?? ""));
  } catch (error) {
    tell(/** @type {Error} */ (error).message);
  }
}
