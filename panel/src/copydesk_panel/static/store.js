// What the panel knows: one picture of the desk, kept current by the event stream.
//
// It begins with /view and goes on with the stream from that view's number. When the stream breaks, it resumes from the last
// number where the same engine still runs, and takes a new view where the engine is another one or no longer has the events.
// Listeners are told by topic, at most once per animation frame, however many events came.

import { api, streamUrl } from "./api.js";

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5000;
const KEPT_FILLS = 3000;
const CLOSED_GONE = 4010;

/** @typedef {"connection" | "bots" | "accounts" | "fills" | "prices" | "log" | "drift" | "tickets" | "view"} Topic */
/** @typedef {"connecting" | "connected" | "absent" | "offline" | "signedOut"} ConnectionState */

export class Store {
  constructor() {
    /** @type {ConnectionState} */
    this.connection = "connecting";
    this.connectionMessage = "";
    this.version = "";
    /** @type {Map<string, import("./types.js").BotView>} */
    this.bots = new Map();
    /** @type {Map<string, import("./types.js").Account>} */
    this.accounts = new Map();
    /** @type {Map<string, import("./types.js").Fill[]>} */
    this.fills = new Map();
    /** Prices by account key, then symbol. @type {Map<string, Map<string, import("./types.js").Price>>} */
    this.prices = new Map();
    /** Log lines that came since the log listener last took them, oldest first. @type {import("./types.js").LogEntry[]} */
    this.newLog = [];
    /** What each child should hold and holds. @type {Map<string, import("./types.js").Drift>} */
    this.drift = new Map();
    /** @type {Map<string, import("./types.js").ManualTicket>} */
    this.tickets = new Map();
    this.eventCount = 0;
    this.seq = 0;
    this.engine = "";
    this.retryMs = FIRST_RETRY_MS;
    /** @type {Map<Topic, Set<() => void>>} */
    this.listeners = new Map();
    /** @type {Set<Topic>} */
    this.changed = new Set();
    this.scheduled = false;
    /** @type {Map<string, Set<string>>} execution ids by account */
    this.executions = new Map();
  }

  /** @param {Topic[]} topics @param {() => void} listener */
  on(topics, listener) {
    for (const topic of topics) {
      if (!this.listeners.has(topic)) this.listeners.set(topic, new Set());
      this.listeners.get(topic)?.add(listener);
    }
  }

  /** @param {Topic} topic */
  touch(topic) {
    this.changed.add(topic);
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => this.tell());
  }

  tell() {
    this.scheduled = false;
    const due = new Set();
    for (const topic of this.changed) for (const listener of this.listeners.get(topic) ?? []) due.add(listener);
    this.changed.clear();
    for (const listener of due) listener();
  }

  start() {
    void this.connect(true);
  }

  /** @param {boolean} fresh take a new view even where the engine is the same */
  async connect(fresh) {
    try {
      const { engine } = await api.health();
      if (fresh || engine !== this.engine || this.seq === 0) {
        const view = await api.view();
        this.engine = view.engine;
        this.replace(view.data);
      }
    } catch (error) {
      const status = /** @type {any} */ (error).status;
      this.setConnection(status === 401 ? "signedOut" : status === 0 ? "offline" : "absent", /** @type {Error} */ (error).message);
      this.retry(fresh);
      return;
    }
    this.listen();
  }

  listen() {
    const socket = new WebSocket(streamUrl(this.seq));
    socket.onopen = () => {
      this.retryMs = FIRST_RETRY_MS;
      this.setConnection("connected", "");
    };
    socket.onmessage = (message) => {
      for (const event of JSON.parse(message.data)) this.apply(event);
    };
    socket.onclose = (closed) => {
      this.setConnection("offline", "");
      this.retry(closed.code === CLOSED_GONE);
    };
  }

  /** @param {boolean} fresh */
  retry(fresh) {
    setTimeout(() => void this.connect(fresh), this.retryMs);
    this.retryMs = Math.min(this.retryMs * 2, LAST_RETRY_MS);
  }

  /** @param {ConnectionState} state @param {string} message */
  setConnection(state, message) {
    if (this.connection === state && this.connectionMessage === message) return;
    this.connection = state;
    this.connectionMessage = message;
    this.touch("connection");
  }

  /** @param {import("./types.js").DeskView} view */
  replace(view) {
    this.seq = view.seq;
    this.version = view.version;
    this.bots = new Map((view.bots ?? []).map((bot) => [bot.name, bot]));
    this.accounts = new Map((view.accounts ?? []).map((account) => [account.key, readAccount(account)]));
    this.fills = new Map();
    this.executions = new Map();
    for (const [key, fill] of view.fills ?? []) this.addFill(key, fill);
    this.newLog = [];
    this.drift = new Map((view.drift ?? []).map((row) => [driftKey(row), row]));
    this.tickets = new Map((view.tickets ?? []).map((ticket) => [ticket.id, ticket]));
    for (const topic of /** @type {Topic[]} */ (["bots", "accounts", "fills", "prices", "drift", "tickets", "view"])) this.touch(topic);
  }

  /** @param {import("./types.js").DeskEvent} event */
  apply(event) {
    if (event.seq) {
      if (event.seq <= this.seq) return;
      this.seq = event.seq;
      this.eventCount += 1;
    }
    const take = APPLY[event.kind];
    if (take) take(this, event.body, event.account ?? "");
  }

  /** @param {string} key @param {import("./types.js").Fill} fill */
  addFill(key, fill) {
    let known = this.executions.get(key);
    if (!known) this.executions.set(key, (known = new Set()));
    const id = `${fill.symbol} ${fill.execution_id}`;
    if (known.has(id)) return;
    known.add(id);
    const fills = this.fills.get(key) ?? [];
    fills.push(fill);
    if (fills.length > KEPT_FILLS) {
      for (const old of fills.splice(0, fills.length - KEPT_FILLS)) known.delete(`${old.symbol} ${old.execution_id}`);
    }
    this.fills.set(key, fills);
  }

  /**
   * The latest price of a symbol as an account sees it: its own stream's, else that of another account at the same venue.
   * @param {string} key
   * @param {string} symbol
   * @returns {import("./types.js").Price | undefined}
   */
  price(key, symbol) {
    const own = this.prices.get(key)?.get(symbol);
    if (own) return own;
    const account = this.accounts.get(key);
    for (const [other, prices] of this.prices) {
      const found = prices.get(symbol);
      const twin = this.accounts.get(other);
      if (found && account && twin && twin.kind === account.kind && twin.rehearsal === account.rehearsal) return found;
    }
    return undefined;
  }

  /** The words for a connection kind, which its accounts carry. @param {string} kind */
  kindTitle(kind) {
    for (const account of this.accounts.values()) if (account.kind === kind && account.title) return account.title;
    return kind;
  }
}

/** @param {import("./types.js").AccountView} view @returns {import("./types.js").Account} */
function readAccount(view) {
  return {
    key: view.key,
    connection: view.connection,
    kind: view.kind,
    title: view.title,
    state: view.state,
    message: view.message ?? "",
    rehearsal: view.rehearsal ?? false,
    balance: view.balance ?? null,
    positions: new Map((view.positions ?? []).map((position) => [positionKey(position), position])),
    orders: new Map((view.orders ?? []).filter(isWorking).map((order) => [orderKey(order), order])),
  };
}

/** @param {import("./types.js").Position} position */
const positionKey = (position) => `${position.symbol} ${position.position_side ?? "net"}`;

/** @param {import("./types.js").Order} order */
export const orderKey = (order) => `${order.terms.symbol} ${order.venue_id || order.client_id}`;

/** @param {import("./types.js").Order} order */
export const isWorking = (order) => order.status === "new" || order.status === "partially-filled";

/** @param {import("./types.js").Drift} row */
const driftKey = (row) => [row.bot, row.child, row.symbol, row.position_side].join("\n");

/** What each kind of event does to the store. @type {Record<string, (store: Store, body: any, key: string) => void>} */
const APPLY = {
  log(store, body) {
    store.newLog.push(body);
    store.touch("log");
  },
  bot(store, body) {
    store.bots.set(body.name, body);
    store.touch("bots");
  },
  "bot-removed"(store, body) {
    store.bots.delete(typeof body === "string" ? body : body?.name);
    store.touch("bots");
  },
  account(store, body) {
    store.accounts.set(body.key, readAccount(body));
    store.touch("accounts");
  },
  order(store, body, key) {
    const orders = store.accounts.get(key)?.orders;
    if (!orders) return;
    if (isWorking(body)) orders.set(orderKey(body), body);
    else orders.delete(orderKey(body));
    store.touch("accounts");
  },
  fill(store, body, key) {
    store.addFill(key, body);
    store.touch("fills");
  },
  position(store, body, key) {
    store.accounts.get(key)?.positions.set(positionKey(body), body);
    store.touch("accounts");
  },
  drift(store, body) {
    if (Number(body.target) || Number(body.attributed) || Number(body.difference)) store.drift.set(driftKey(body), body);
    else store.drift.delete(driftKey(body));
    store.touch("drift");
  },
  ticket(store, body) {
    if ((body.status ?? "open") === "open") store.tickets.set(body.id, body);
    else store.tickets.delete(body.id);
    store.touch("tickets");
  },
  balance(store, body, key) {
    const account = store.accounts.get(key);
    if (account) account.balance = body;
    store.touch("accounts");
  },
  price(store, body, key) {
    let prices = store.prices.get(key);
    if (!prices) store.prices.set(key, (prices = new Map()));
    prices.set(body.symbol, body);
    store.touch("prices");
  },
};
