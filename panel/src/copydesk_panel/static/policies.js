// The settings in words, as the engine serves them, and how they are read from and written into a bot's settings.

import { api } from "./api.js";
import { plain } from "./format.js";

/** @typedef {{value: string, sentence?: string}} Choice */
/** @typedef {{name: string, of: "bot" | "child", group: string, title: string, sentence: string, default?: string, unit?: string,
 *   kind: "choice" | "number" | "whole" | "list" | "text", choices?: Choice[], only_with?: string}} Policy */
/** @typedef {{whose: string, policy: Policy, before: string, after: string}} Change */

/** @type {Policy[] | undefined} */
let known;

/** All of them; asked for once. @returns {Promise<Policy[]>} */
export async function policies() {
  known ??= /** @type {Policy[]} */ (await api.policies());
  return known;
}

/** What the settings say, as it is written. @param {any} settings @param {Policy} policy */
export function read(settings, policy) {
  let value = settings;
  for (const part of policy.name.split(".")) value = value?.[part];
  if (value === undefined) return policy.default ?? "";
  if (value === null) return "";
  if (Array.isArray(value)) return value.join("; ");
  return policy.kind === "number" ? plain(String(value)) : String(value);
}

/** Write a value into the settings; what is empty is the default, or no limit. @param {any} settings @param {Policy} policy @param {string} written */
export function write(settings, policy, written) {
  const parts = policy.name.split(".");
  const last = /** @type {string} */ (parts.pop());
  let place = settings;
  for (const part of parts) place = place[part] = { ...(place[part] ?? {}) };
  const value = written.trim();
  if (policy.kind === "list") place[last] = value.split(";").map((part) => part.trim()).filter(Boolean);
  else if (!value) {
    if (policy.default) delete place[last];
    else place[last] = null;
  } else place[last] = policy.kind === "whole" && /^\d+$/.test(value) ? Number(value) : value;
}

/** Whether it is what it is without anybody's doing. @param {Policy} policy @param {string} written */
export const isDefault = (policy, written) => written === (policy.kind === "number" ? plain(policy.default ?? "") : (policy.default ?? ""));

/** Whether it counts beside the other settings. @param {Policy[]} all @param {any} settings @param {Policy} policy */
export function counts(all, settings, policy) {
  if (!policy.only_with) return true;
  const [name, values] = policy.only_with.split("=");
  const other = all.find((one) => one.of === policy.of && one.name === name);
  return !other || values.split("|").includes(read(settings, other));
}

/**
 * What differs between two settings of one bot.
 * @param {Policy[]} all
 * @param {import("./types.js").BotSettings} before
 * @param {import("./types.js").BotSettings} after
 * @returns {Change[]}
 */
export function changes(all, before, after) {
  const found = /** @type {Change[]} */ ([]);
  const compare = (/** @type {string} */ whose, /** @type {"bot" | "child"} */ of, /** @type {any} */ one, /** @type {any} */ other) => {
    for (const policy of all) {
      if (policy.of !== of) continue;
      const [was, is] = [read(one, policy), read(other, policy)];
      if (was !== is) found.push({ whose, policy, before: was, after: is });
    }
  };
  compare("", "bot", before, after);
  const were = new Map(before.children.map((child) => [child.account, child]));
  for (const child of after.children) {
    const was = were.get(child.account);
    if (was) compare(child.account, "child", was, child);
  }
  return found;
}

/** The groups of policies of a bot or of a child, in their order. @param {Policy[]} all @param {"bot" | "child"} of @returns {[string, Policy[]][]} */
export function groups(all, of) {
  /** @type {Map<string, Policy[]>} */
  const found = new Map();
  for (const policy of all) {
    if (policy.of !== of) continue;
    found.set(policy.group, [...(found.get(policy.group) ?? []), policy]);
  }
  return [...found];
}
