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
 *   latency_us?: number | null, message?: string, oco?: string, sent?: Latency | null, accepted?: Latency | null}} ChildView */
/** @typedef {{name: string, parent: string, kind: string, status: string, children: ChildView[], copied?: number,
 *   missed?: number, latency_us?: number | null}} BotView */
/** @typedef {{seq?: number, at_ns: number, level: string, kind: string, text: string, bot?: string, account?: string,
 *   symbol?: string, data?: Record<string, any>}} LogEntry */
/** @typedef {{seq: number, at_ns: number, version: string, bots?: BotView[], accounts?: AccountView[],
 *   fills?: [string, Fill][], log?: LogEntry[], prices?: Record<string, string>, drift?: Drift[],
 *   tickets?: ManualTicket[]}} DeskView */
/** @typedef {{seq: number, kind: string, account?: string, body?: any}} DeskEvent */
/** @typedef {{symbol: string, last: string, bid?: string, ask?: string, time_ms?: number}} Price */
/** @typedef {{open_ms: number, open: string, high: string, low: string, close: string, volume: string}} Candle */
/** @typedef {{symbol: string, price_tick: string, quantity_step: string, min_quantity?: string, trading?: boolean}} Instrument */
/** @typedef {{account: string, mode: "percentage" | "multiplier", value: string} & Record<string, any>} ChildSettings */
/** @typedef {{name: string, parent: string, children: ChildSettings[], working?: boolean, stop?: string,
 *   start?: {policy?: string}} & Record<string, any>} BotSettings */
/** @typedef {{account: string, what: string, terms: Terms, protects?: boolean, client_id?: string}} PlannedSend */
/** @typedef {{account: string, sends?: PlannedSend[], leverage?: {symbol: string, leverage: string}[], remarks?: string[]}} PlannedChild */
/** @typedef {{digest?: string, children?: PlannedChild[], sends?: PlannedSend[], refusals?: string[], warnings?: string[],
 *   positions?: Position[], orders?: Order[], target?: string, attributed?: string, in_flight?: string}} Plan */
/** @typedef {{child: string, symbol: string, position_side: string, digest?: string}} MissingOrder */
/** @typedef {{symbol: string, smallest_parent_order: string, smallest_child_order: string, limited_by: string,
 *   balance_needed?: string | null}} SymbolPreview */
/** @typedef {{account: string, ratio?: string | null, problem?: string, symbols?: SymbolPreview[], trades?: number,
 *   skipped?: {reason: string}[]}} ChildPreview */
/** @typedef {{children?: ChildPreview[], trades?: unknown[]}} Preview */
/** @typedef {{bot: string, child: string, symbol: string, position_side: string, target: string, attributed: string,
 *   foreign: string, in_flight: string, difference: string, cause?: string, alarm?: string, since_ns?: number,
 *   causes?: {cause: string, quantity: string}[], naked_since_ns?: number, naked_ns?: number}} Drift */
/** @typedef {{id: string, bot: string, child: string, symbol: string, position_side: string, terms: Terms, kind: string,
 *   why: string, parent_order?: string, created_ns: number, expires_ns: number, status?: string}} ManualTicket */
/** @typedef {{count: number, p50_us: number, p99_us: number, max_us: number}} Latency */
/** @typedef {{name: string, kind: string, title: string, state: string, message?: string, since_ns?: number,
 *   rehearsal?: boolean, closed_on?: string, accounts?: string[], round_trip?: Latency | null,
 *   clock_offset_ms?: number | null, permissions?: string[] | null, pauses?: number, pause_left_ms?: number,
 *   budget?: Budget | null}} ConnectionView */
/** @typedef {{scope: string, requests_used?: number, requests_per_minute?: number, orders_used?: number,
 *   orders_per_second?: number, waiting?: number}} Budget */
/** @typedef {{client_id: string, what: string, why: string, received_ns: number, decoded_ns?: number, planned_ns?: number,
 *   journalled_ns?: number, sent_ns?: number, answered_ns?: number, filled_ns?: number, outcome?: string, message?: string}} StoryRequest */
/** @typedef {{account: string, mode?: string, value?: string, rounding?: string, ratio?: string, basis?: string,
 *   frozen_ns?: number, own?: string | null, parents?: string | null, exit?: boolean, exact?: string, asked?: string,
 *   step?: string, requests?: StoryRequest[], filled?: string, price?: string,
 *   difference?: string, ticks?: string, money?: string, currency?: string, lines?: LogEntry[]}} ChildStory */
/** @typedef {{bot: string, parent: string, symbol: string, parent_order: string, order?: Order | null, venue_ns?: number,
 *   read_ns?: number, filled?: string, price?: string, balance?: Balance | null, lines?: LogEntry[],
 *   children?: ChildStory[]}} Story */
/** @typedef {{key: string, connection: string, kind: string, title: string, state: string, message: string,
 *   rehearsal: boolean, balance: Balance | null, positions: Map<string, Position>, orders: Map<string, Order>}} Account */

export {};
