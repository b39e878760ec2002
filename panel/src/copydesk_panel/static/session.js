// Who looks at this page: a trader, or a viewer who may change nothing; and the disclaimer, which is confirmed once.

import { ApiError } from "./api.js";
import { confirmDialog, errorLine, showDialog, showError } from "./dialog.js";
import { h } from "./dom.js";
import { text } from "./text.js";

/** @param {string} path @param {string} [method] @param {unknown} [body] @returns {Promise<any>} */
async function ask(path, method = "GET", body = undefined) {
  let response;
  try {
    response = await fetch(`/panel/${path}`, {
      method, credentials: "same-origin", cache: "no-store",
      headers: body === undefined ? {} : { "Content-Type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(text.errors.unreachable, 0);
  }
  const written = await response.text();
  const data = written ? JSON.parse(written) : null;
  if (!response.ok) throw new ApiError(response.status === 401 ? text.errors.signedOut : (data?.error ?? text.errors.status(response.status)), response.status);
  return data;
}

/** Learn the role; the disclaimer is confirmed before the first real account. @param {import("./store.js").Store} store */
export async function beginSession(store) {
  try {
    const { role, accepted } = await ask("session");
    document.body.dataset.session = role;
    if (role !== "trader" || accepted) return;
  } catch {
    return; // the store tells what is wrong, and this panel's process decides what may be done in any case
  }
  let asked = false;
  const look = () => {
    if (asked || !matters(store)) return;
    asked = true;
    void disclaimer();
  };
  store.on(["accounts", "view"], look);
  look();
}

/** Not while there is nothing but rehearsals. @param {import("./store.js").Store} store */
function matters(store) {
  const accounts = [...store.accounts.values()];
  return store.engine !== "" && (accounts.length === 0 || accounts.some((account) => account.state === "connected" && !account.rehearsal));
}

/** Start a rehearsal of a connection kind; this page is led to it. @param {string} kind @returns {Promise<void>} */
export const beginRehearsal = (kind) => ask("rehearsal", "POST", { kind });

/** A button in the header while the panel shows a rehearsal that was started from it. @param {import("./store.js").Store} store @returns {HTMLElement} */
export function endRehearsalButton(store) {
  const button = h("button", { type: "button", class: "trades", hidden: true, data: { act: "end-rehearsal" }, on: { click: () => void confirmDialog({
    title: text.rehearsal.endTitle, body: [text.rehearsal.endBody], action: text.rehearsal.end, run: () => ask("rehearsal", "DELETE") }) } }, text.rehearsal.end);
  const look = async () => {
    try {
      button.hidden = (await ask("session")).rehearsal !== "running";
    } catch {
      button.hidden = true; // the store tells what is wrong
    }
  };
  store.on(["view", "connection"], () => void look());
  return button;
}

export const maySend = () => document.body.dataset.session !== "viewer";

function disclaimer() {
  return showDialog(text.disclaimer.title, (close) => {
    const error = errorLine();
    const read = h("input", { type: "checkbox", autofocus: true, on: { change: () => (confirm.disabled = !read.checked) } });
    const confirm = h("button", { type: "button", class: "go", disabled: true, data: { act: "confirm" }, on: { click: async () => {
      try {
        await ask("accept", "POST");
        close();
      } catch (problem) {
        showError(error, /** @type {Error} */ (problem).message);
      }
    } } }, text.disclaimer.action);
    return [...text.disclaimer.body.map((line) => h("p", {}, line)), h("label", { class: "check" }, read, text.disclaimer.read), error, h("div", { class: "buttons" }, confirm)];
  }, "question disclaimer", { held: true });
}

/** An address for somebody who may look and nothing else. It opens the panel once. */
export function inviteDialog() {
  return showDialog(text.invite.title, (close) => {
    const error = errorLine();
    const field = h("input", { readonly: true, "aria-label": text.invite.title, on: { focus: () => field.select() } });
    void ask("invite", "POST").then(({ url }) => {
      field.value = url;
      field.focus();
    }, (problem) => showError(error, problem.message));
    return [h("p", {}, text.invite.body), h("label", {}, field), error, h("div", { class: "buttons" }, h("button", { type: "button", on: { click: close } }, text.dialog.close))];
  }, "question");
}
