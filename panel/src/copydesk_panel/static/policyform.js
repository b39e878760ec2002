// The policies of a bot, or of one or all of its children: every setting with its sentence, its default marked, what is
// changed marked too. It is made of what the engine says of its settings.

import { h, icon, setText } from "./dom.js";
import { counts, groups, isDefault, read, write } from "./policies.js";
import { text } from "./text.js";

/** @typedef {import("./policies.js").Policy} Policy */

const MIXED = "\u0000"; // several children have several values; no setting is written so

export class PolicyForm {
  /**
   * @param {Policy[]} all
   * @param {"bot" | "child"} of
   * @param {() => any[]} subjects the settings that are changed: one bot, or one or more children
   * @param {() => any[]} before the same as they are stored
   * @param {() => void} changed
   */
  constructor(all, of, subjects, before, changed) {
    this.all = all;
    this.subjects = subjects;
    this.before = before;
    this.changed = changed;
    /** @type {{policy: Policy, row: HTMLElement, input: any, mark: HTMLElement, reset: any, said: HTMLElement}[]} */
    this.fields = [];
    this.element = h("div", { class: "policies" },
      ...groups(all, of).map(([name, policies]) => h("section", { class: "policy-group", "aria-label": name }, h("h3", {}, name), ...policies.map((policy) => this.field(policy)))));
    this.show();
  }

  /** @param {Policy} policy */
  field(policy) {
    const id = `policy-${policy.of}-${policy.name}`;
    const listeners = { on: { [policy.kind === "choice" ? "change" : "input"]: () => this.take(policy) } };
    const input = policy.kind === "choice"
      ? h("select", { id, name: policy.name, "aria-describedby": `${id}-says`, ...listeners },
        ...(policy.choices ?? []).map((choice) => h("option", { value: choice.value }, text.policy(choice.value))))
      : h("input", { id, name: policy.name, autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-says`,
        inputmode: policy.kind === "number" ? "decimal" : policy.kind === "whole" ? "numeric" : "text", ...listeners });
    const mark = h("i", { class: "tag" });
    const reset = h("button", { type: "button", class: "plain sign", title: text.settings.reset(policy.default ?? ""),
      "aria-label": text.settings.resetOf(policy.title), on: { click: () => this.reset(policy) } }, icon("undo"));
    const said = h("small", { id: `${id}-says` });
    const row = h("div", { class: "policy", data: { policy: policy.name } },
      h("label", { for: id }, policy.title), mark,
      h("span", { class: "entry" }, input, policy.unit ? h("span", { class: "unit", "aria-hidden": "true" }, policy.unit) : null, reset), said);
    this.fields.push({ policy, row, input, mark, reset, said });
    return row;
  }

  /** What all of the subjects say, or `MIXED`. @param {any[]} subjects @param {Policy} policy */
  common(subjects, policy) {
    const values = new Set(subjects.map((settings) => read(settings, policy)));
    return values.size > 1 ? MIXED : ([...values][0] ?? "");
  }

  /** Show the values as they are now. */
  show() {
    const subjects = this.subjects();
    for (const { policy, input } of this.fields) {
      const value = this.common(subjects, policy);
      if (policy.kind === "choice") input.value = value;
      else {
        input.value = value === MIXED ? "" : value;
        input.placeholder = value === MIXED ? text.settings.mixed : (policy.default ?? "") === "" ? text.settings.none : "";
      }
    }
    this.mark();
  }

  mark() {
    const subjects = this.subjects();
    const before = this.before();
    for (const field of this.fields) {
      const { policy, row, mark, reset, said } = field;
      const value = this.common(subjects, policy);
      const moved = before.length > 0 && subjects.some((settings, index) => before[index] && read(settings, policy) !== read(before[index], policy));
      const own = value !== MIXED && isDefault(policy, value);
      setText(mark, moved ? text.settings.changed : own ? text.settings.default : "");
      mark.className = `tag ${moved ? "moved" : ""}`;
      mark.hidden = !moved && !own;
      reset.hidden = own;
      row.classList.toggle("off", subjects.length > 0 && !subjects.some((settings) => counts(this.all, settings, policy)));
      const choice = policy.choices?.find((one) => one.value === value);
      said.replaceChildren(policy.sentence, choice?.sentence ? h("b", {}, ` ${text.policy(choice.value)}: ${choice.sentence}.`) : "");
    }
  }

  /** @param {Policy} policy */
  take(policy) {
    const input = this.fields.find((field) => field.policy === policy)?.input;
    for (const settings of this.subjects()) write(settings, policy, input.value);
    this.mark();
    this.changed();
  }

  /** @param {Policy} policy */
  reset(policy) {
    for (const settings of this.subjects()) write(settings, policy, policy.default ?? "");
    this.show();
    this.changed();
    this.fields.find((field) => field.policy === policy)?.input.focus();
  }
}
