// The records of the control API as this panel reads them. A field that has its default value is left out of the JSON.
// Amounts are decimal strings, times numbers of nanoseconds (`_ns`) or milliseconds (`_ms`) since the Unix epoch.

/** @typedef {{symbol: string, side: "buy" | "sell", type: string, quantity: string, price?: string | null,
 *   trigger_price?: string | null, trail_percent?: string | null, reduce_only?: boolean, close_position?: boolean,
 *   time_in_force?: string, post_only?: boolean, position_side?: string}} Terms */
/** @typedef {{venue_id: string, client_id?: string, terms: Terms, status: string, filled?: string,
 *   average_price?: string | null, triggered?: boolean, created_ms?: number, updated_ms?: number}} Order */
/** @typedef {{execution_id: string, venue_id: string, symbol: string, side: "buy" | "sell", quantity: string, price: string,
 *   time_ms?: number}} Fill */
/** @typedef {{symbol: string, position_side?: string, quantity: string, entry_price?: string, unrealised?: string}} Position */
/** @typedef {{currency: string, equity: string, cash: string, available: string}} Balance */
/** @typedef {{key: string, connection: string, kind: string, title: string, state: string, message?: string,
 *   rehearsal?: boolean, balance?: Balance | null, positions?: Position[], orders?: Order[]}} AccountView */
/** @typedef {{account: string, mode: string, value: string, health: string, copied?: number, missed?: number,
 *   latency_us?: number | null, message?: string}} ChildView */
/** @typedef {{name: string, parent: string, kind: string, status: string, children: ChildView[], copied?: number,
 *   missed?: number, latency_us?: number | null}} BotView */
/** @typedef {{seq?: number, at_ns: number, level: string, kind: string, text: string, bot?: string, account?: string,
 *   symbol?: string}} LogEntry */
/** @typedef {{seq: number, at_ns: number, version: string, bots?: BotView[], accounts?: AccountView[],
 *   fills?: [string, Fill][], log?: LogEntry[], prices?: Record<string, string>}} DeskView */
/** @typedef {{seq: number, kind: string, account?: string, body?: any}} DeskEvent */
/** @typedef {{symbol: string, last: string, bid?: string, ask?: string, time_ms?: number}} Price */
/** @typedef {{open_ms: number, open: string, high: string, low: string, close: string, volume: string}} Candle */
/** @typedef {{symbol: string, price_tick: string, quantity_step: string, min_quantity?: string, trading?: boolean}} Instrument */
/** @typedef {{account: string, mode: "percentage" | "multiplier", value: string}} ChildSettings */
/** @typedef {{name: string, parent: string, children: ChildSettings[], working?: boolean}} BotSettings */
/** @typedef {{key: string, connection: string, kind: string, title: string, state: string, message: string,
 *   rehearsal: boolean, balance: Balance | null, positions: Map<string, Position>, orders: Map<string, Order>}} Account */

export {};
