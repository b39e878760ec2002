// Requests to the control API, through the panel's own process. Every failure is an `ApiError` with a sentence for people.

import { text } from "./text.js";

const BASE = "/api/v1";

export class ApiError extends Error {
  /** @param {string} sentence @param {number} status */
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

/**
 * @param {string} method
 * @param {string} path below /api/v1
 * @param {unknown} [body]
 * @returns {Promise<{data: any, engine: string}>} the answer, and which engine run gave it
 */
async function send(method, path, body) {
  let response;
  try {
    response = await fetch(BASE + path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch {
    throw new ApiError(text.errors.unreachable, 0);
  }
  const written = await response.text();
  let data = null;
  try {
    data = written ? JSON.parse(written) : null;
  } catch {
    // an answer that is not JSON has no sentence for us
  }
  if (!response.ok) {
    if (response.status === 401) throw new ApiError(text.errors.signedOut, 401);
    throw new ApiError(typeof data?.error === "string" ? data.error : text.errors.status(response.status), response.status);
  }
  return { data, engine: response.headers.get("X-Copydesk-Engine") ?? "" };
}

/** @param {Record<string, string | number | undefined>} values */
function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
}

const account = (/** @type {string} */ key) => `/accounts/${encodeURIComponent(key)}`;
const bot = (/** @type {string} */ name) => `/bots/${encodeURIComponent(name)}`;

export const api = {
  view: () => send("GET", "/view"),
  health: () => send("GET", "/health"),
  /** @param {Record<string, string | number | undefined>} filter */
  log: async (filter) => (await send("GET", `/log${query(filter)}`)).data,
  bots: async () => (await send("GET", "/bots")).data,
  /** @param {import("./types.js").BotSettings} settings */
  addBot: (settings) => send("POST", "/bots", settings),
  /** @param {string} name @param {import("./types.js").BotSettings} settings */
  changeBot: (name, settings) => send("PUT", bot(name), settings),
  /** @param {string} name */
  removeBot: (name) => send("DELETE", bot(name)),
  policies: async () => (await send("GET", "/policies")).data,
  /** @param {import("./types.js").BotSettings} settings */
  previewOf: async (settings) => (await send("POST", "/preview", settings)).data,
  /** @param {string} name @param {{policy: string}} order */
  planStart: async (name, order) => (await send("POST", `${bot(name)}/plan`, order)).data,
  /** @param {string} name @param {{policy: string, digest: string}} order */
  startBot: (name, order) => send("POST", `${bot(name)}/start`, order),
  /** @param {string} name @param {{policy: string}} order */
  planStop: async (name, order) => (await send("POST", `${bot(name)}/stop-plan`, order)).data,
  /** @param {string} name @param {{policy: string, digest: string}} order */
  stopBot: (name, order) => send("POST", `${bot(name)}/stop`, order),
  /** @param {string} name @param {import("./types.js").MissingOrder} order */
  planMissing: async (name, order) => (await send("POST", `${bot(name)}/missing-plan`, order)).data,
  /** @param {string} name @param {import("./types.js").MissingOrder} order */
  copyMissing: (name, order) => send("POST", `${bot(name)}/copy-missing`, order),
  /** @param {{policy: string, confirm: string}} order */
  kill: async (order) => (await send("POST", "/kill", order)).data,
  /** @param {number} seq */
  story: async (seq) => (await send("GET", `/story${query({ seq })}`)).data,
  kinds: async () => (await send("GET", "/kinds")).data,
  limits: async () => (await send("GET", "/limits")).data,
  /** @param {string} key @param {{state: string, reason: string, actor: string, until_ns: number}} change */
  setLimit: async (key, change) => (await send("PUT", `${account(key)}/limits`, change)).data,
  connections: async () => (await send("GET", "/connections")).data,
  /** @param {string} name */
  reconnect: (name) => send("POST", `/connections/${encodeURIComponent(name)}/reconnect`),
  /** @param {string} id */
  sendTicket: async (id) => (await send("POST", `/tickets/${encodeURIComponent(id)}/send`)).data,
  /** @param {string} id */
  dismissTicket: async (id) => (await send("POST", `/tickets/${encodeURIComponent(id)}/dismiss`)).data,
  /** @param {string} key @param {{ref: object, terms: import("./types.js").Terms}} change */
  modify: async (key, change) => (await send("PATCH", `${account(key)}/orders`, change)).data,
  /** @param {string} key */
  instruments: async (key) => (await send("GET", `${account(key)}/instruments`)).data,
  /** @param {string} key @param {string} symbol @param {string} interval @param {number} limit */
  candles: async (key, symbol, interval, limit) =>
    (await send("GET", `${account(key)}/candles${query({ symbol, interval, limit })}`)).data,
  /** @param {string} key @param {import("./types.js").Terms} terms */
  place: async (key, terms) => (await send("POST", `${account(key)}/orders`, terms)).data,
  /** @param {string} key @param {{symbol: string, type: string, client_id?: string, venue_id?: string}} ref */
  cancel: async (key, ref) => (await send("DELETE", `${account(key)}/orders${query(ref)}`)).data,
};

/** The address of the event stream. @param {number} after */
export function streamUrl(after) {
  return `${location.origin.replace(/^http/, "ws")}${BASE}/stream?after=${after}`;
}
