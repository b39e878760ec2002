// The kill switch: every bot stopped at once, after a word was typed. It waits for no plan and no venue.

import { api } from "./api.js";
import { errorLine, showDialog, showError } from "./dialog.js";
import { h } from "./dom.js";
import { text } from "./text.js";

const WORD = "STOP";
const POLICIES = /** @type {const} */ (["leave", "cancel_entries", "flatten"]);

/** @param {number} working how many bots work */
export function killDialog(working) {
  return showDialog(text.kill.title, (close) => {
    const error = errorLine();
    const word = h("input", { name: "word", autocomplete: "off", spellcheck: "false", autofocus: true, "aria-label": text.kill.type(WORD), class: "word" });
    const confirm = h("button", { type: "submit", class: "halt", disabled: true, data: { act: "confirm" } }, text.kill.action);
    word.addEventListener("input", () => (confirm.disabled = word.value.trim().toUpperCase() !== WORD));
    const choices = POLICIES.map((policy) => h("label", { class: "choice" },
      h("input", { type: "radio", name: "kill-policy", value: policy, checked: policy === "cancel_entries" }),
      h("span", {}, h("b", {}, text.kill.policies[policy][0]), h("small", {}, text.kill.policies[policy][1]))));
    const form = h("form", { novalidate: true }, h("p", {}, text.kill.body(working)), h("fieldset", { class: "choices" }, h("legend", {}, text.plan.how), ...choices),
      h("label", {}, text.kill.type(WORD), word), error,
      h("div", { class: "buttons" }, h("button", { type: "button", on: { click: close } }, text.dialog.cancel), confirm));
    form.addEventListener("submit", async (/** @type {Event} */ event) => {
      event.preventDefault();
      if (confirm.disabled) return;
      confirm.disabled = true;
      showError(error, "");
      try {
        const policy = form.querySelector("input[name=kill-policy]:checked").value;
        const report = await api.kill({ policy, confirm: WORD });
        form.replaceChildren(h("p", { role: "status" }, text.kill.done((report.bots ?? []).length, report.cancels ?? 0, report.closes ?? 0)),
          report.away?.length ? h("p", { class: "error" }, text.kill.away(report.away)) : "",
          h("div", { class: "buttons" }, h("button", { type: "button", autofocus: true, on: { click: close } }, text.dialog.close)));
        form.querySelector("button").focus();
      } catch (problem) {
        showError(error, /** @type {Error} */ (problem).message);
        confirm.disabled = false;
      }
    });
    return [form];
  }, "plan kill");
}
