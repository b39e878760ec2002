// A list of which only the rows that one sees are in the document: of fixed height, kept and written anew as one scrolls.

import { h } from "./dom.js";

const SPARE = 6;

/** @template T, R @typedef {{height: number, make: () => R & {line: HTMLElement}, write: (row: R & {line: HTMLElement}, item: T) => void}} Shape */

/** @template T, R */
export class VirtualRows {
  /** @param {Shape<T, R>} shape @param {HTMLElement} head the line of column names @param {Record<string, any>} attributes of the scrolled element */
  constructor(shape, head, attributes) {
    this.shape = shape;
    /** @type {T[]} */
    this.items = [];
    /** @type {Map<number, any>} */
    this.rows = new Map();
    /** @type {any[]} */
    this.spare = [];
    this.inner = h("div", { class: "rows-inner", role: "rowgroup" });
    this.scroller = h("div", { ...attributes, tabindex: "0", on: { scroll: () => this.draw() } }, head, this.inner);
    new ResizeObserver(() => this.draw()).observe(this.scroller);
  }

  /** @param {T[]} items */
  show(items) {
    this.items = items;
    this.scroller.setAttribute("aria-rowcount", String(items.length + 1));
    this.inner.style.height = `${items.length * this.shape.height}px`;
    for (const [index, row] of this.rows) if (index < items.length) this.shape.write(row, items[index]);
    this.draw();
  }

  /** Put rows where one looks, take away those where one does not. */
  draw() {
    const { height } = this.shape;
    const { scrollTop, clientHeight } = this.scroller;
    const first = Math.max(0, Math.floor(scrollTop / height) - SPARE);
    const end = Math.min(this.items.length, Math.ceil((scrollTop + clientHeight) / height) + SPARE);
    for (const [index, row] of this.rows) {
      if (index >= first && index < end) continue;
      this.rows.delete(index);
      row.line.remove();
      this.spare.push(row);
    }
    for (let index = first; index < end; index += 1) {
      if (this.rows.has(index)) continue;
      const row = this.spare.pop() ?? this.shape.make();
      this.inner.append(row.line);
      row.line.setAttribute("aria-rowindex", String(index + 2)); // the first is the head
      row.line.style.transform = `translateY(${index * height}px)`;
      this.rows.set(index, row);
      this.shape.write(row, this.items[index]);
    }
  }
}
