// The feasibility preview: what each child could follow of its parent with the settings as they are being typed.

import { api } from "./api.js";
import { h, setText } from "./dom.js";
import { grouped, plain, rounded } from "./format.js";
import { text } from "./text.js";

const PAUSE_MS = 400;
const SHOWN = 12;

export class PreviewBox {
  /** @param {() => import("./types.js").BotSettings | null} settings what would be saved, or null while it is not whole */
  constructor(settings) {
    this.settings = settings;
    this.run = 0;
    this.asked = "";
    this.note = h("p", { class: "hint" });
    this.table = h("div", { class: "preview-rows" });
    this.element = h("section", { class: "preview", "aria-label": text.preview.title, "aria-live": "polite" }, h("h3", {}, text.preview.title), this.note, this.table);
    setText(this.note, text.preview.incomplete);
  }

  /** Something was typed. */
  changed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.ask(), PAUSE_MS);
  }

  async ask() {
    const settings = this.settings();
    const run = ++this.run;
    const asking = settings === null ? "" : JSON.stringify(settings);
    if (asking === this.asked) return;
    this.asked = asking;
    if (settings === null) {
      this.table.replaceChildren();
      setText(this.note, text.preview.incomplete);
      return;
    }
    this.element.setAttribute("aria-busy", "true");
    try {
      const found = /** @type {import("./types.js").Preview} */ (await api.previewOf(settings));
      if (run !== this.run) return;
      this.table.replaceChildren(...(found.children ?? []).slice(0, SHOWN).map(childRow));
      const rest = (found.children ?? []).length - SHOWN;
      setText(this.note, rest > 0 ? text.preview.more(rest) : (found.trades ?? []).length ? text.preview.played(found.trades?.length ?? 0) : text.preview.noTrades);
    } catch (error) {
      if (run !== this.run) return;
      this.table.replaceChildren();
      setText(this.note, /** @type {Error} */ (error).message);
    } finally {
      if (run === this.run) this.element.removeAttribute("aria-busy");
    }
  }
}

/** @param {import("./types.js").ChildPreview} child */
function childRow(child) {
  if (child.problem) return h("div", { class: "preview-child trouble" }, h("b", {}, child.account), h("span", {}, child.problem));
  const skipped = child.skipped ?? [];
  const facts = [h("span", {}, text.preview.ratio(rounded(child.ratio ?? "0", 6)))];
  for (const symbol of child.symbols ?? []) {
    facts.push(h("span", { title: text.preview.limitedBy(symbol.limited_by) }, text.preview.smallest(plain(symbol.smallest_parent_order), symbol.symbol, plain(symbol.smallest_child_order))));
    if (symbol.balance_needed) facts.push(h("span", {}, text.preview.balanceNeeded(grouped(symbol.balance_needed))));
  }
  if (child.trades) facts.push(h("span", { class: skipped.length ? "some" : "good" }, text.preview.skipped(skipped.length, child.trades)));
  if (skipped[0]) facts.push(h("span", { class: "dim" }, text.preview.because(skipped[0].reason)));
  return h("div", { class: "preview-child" }, h("b", {}, child.account), ...facts);
}
