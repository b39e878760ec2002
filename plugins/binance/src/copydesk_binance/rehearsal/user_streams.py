"""The websocket streams of USD-M futures: the private one of each listen key, and the public ones by name."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable

from copydesk_paper.records import OrderReport, Quote, Report, Trade
from copydesk_paper.serving.faults import Faults

from copydesk_binance.rehearsal import wire, wire_accounts
from copydesk_binance.rehearsal.account import Account
from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.listing import Listing
from copydesk_binance.rehearsal.market import INTERVALS, MarketData
from copydesk_binance.rehearsal.streams import BookChanges, PublicStreams, encode
from copydesk_binance.rehearsal.wire import Json

LISTEN_KEY_LENGTH = 64

_NAME = re.compile(r"(?P<symbol>[a-z0-9_]+)@(?P<kind>[a-zA-Z]+)(?P<rest>[0-9a-zA-Z_@]*)|!(?P<all>[a-zA-Z]+)@arr(@1s)?")
_PAIR = re.compile(r"(?P<pair>[a-z0-9]+)_perpetual@continuousKline_(?P<interval>[0-9a-zA-Z]+)")
_FIXED = frozenset({"aggTrade", "trade", "bookTicker", "ticker", "miniTicker", "forceOrder"})
_ALL_LIQUIDATIONS = "!forceOrder@arr"
_WITHOUT_SYMBOL = frozenset({"!bookTicker", "!contractInfo", _ALL_LIQUIDATIONS, "!assetIndex@arr", "tradingSession"})
_SILENT = frozenset({"compositeIndex", "assetIndex"})
"""Streams that exist and on which nothing ever happens here."""
_OF_ALL_SYMBOLS = frozenset({"ticker", "miniTicker", "markPrice"})
_BOOKS = frozenset({"depth", "rpiDepth"})
_SPEEDS = {"": 2, "@100ms": 1, "@250ms": 2, "@500ms": 5}


class ListenKey:
    """A key to one account's private stream. `value` is the name of the stream."""

    __slots__ = ("account", "timer", "value")

    def __init__(self, account: Account, value: str) -> None:
        self.account = account
        self.value = value
        self.timer: asyncio.TimerHandle | None = None


class Streams(PublicStreams):
    """A `Watcher` of the venue: faults of the private stream (drop, repeat, reorder) happen before its queue."""

    def __init__(
        self,
        market: MarketData,
        listing: Listing,
        faults: Faults,
        now_ms: Callable[[], int],
        *,
        listen_key_seconds: float,
    ) -> None:
        super().__init__(faults, now_ms)
        self._market = market
        self._listing = listing
        self._life_s = listen_key_seconds
        self._keys: dict[str, ListenKey] = {}
        self._key_of: dict[str, ListenKey] = {}
        self._books = BookChanges()

    # --- listen keys ---

    def create_key(self, account: Account) -> str:
        """The account's listen key, new or the one in force, good for another hour."""
        key = self._key_of.get(account.name)
        if key is None:
            key = ListenKey(account, secrets.token_hex(LISTEN_KEY_LENGTH // 2))
            self._keys[key.value] = self._key_of[account.name] = key
        self._extend(key)
        return key.value

    def keep_key(self, account: Account) -> str:
        """Raises `Refusal` -1125 where the account has no listen key in force."""
        key = self._key_of.get(account.name)
        if key is None:
            raise Refusal(-1125)
        self._extend(key)
        return key.value

    def delete_key(self, account: Account) -> None:
        """End the listen key and close its streams."""
        key = self._key_of.get(account.name)
        if key is None:
            raise Refusal(-1125)
        self._forget(key)
        for reader in self.readers.pop(key.value, set()):
            reader.names.pop(key.value, None)
            reader.drop()

    def _extend(self, key: ListenKey) -> None:
        if key.timer is not None:
            key.timer.cancel()
        key.timer = asyncio.get_running_loop().call_later(self._life_s, self._expire, key)

    def _forget(self, key: ListenKey) -> None:
        if key.timer is not None:
            key.timer.cancel()
        self._keys.pop(key.value, None)
        self._key_of.pop(key.account.name, None)

    def _expire(self, key: ListenKey) -> None:
        """Say so on its streams, which stay open and get nothing more, as at Binance."""
        self._forget(key)
        event = encode(wire_accounts.listen_key_expired(key.value, self.now_ms()))
        for reader in self.readers.pop(key.value, set()):
            reader.names.pop(key.value, None)
            reader.send(key.value, event)

    # --- private events ---

    def tell(self, account: Account, event: Json) -> None:
        key = self._key_of.get(account.name)
        readers = self.readers.get(key.value) if key is not None else None
        if not readers or key is None:
            return
        payload = encode(event)
        for reader in tuple(readers):
            if not reader.events or event["e"] in reader.events:
                self.delivery.send(account.name, reader, reader.frame(key.value, payload), self.forget_reader)

    # --- public events ---

    def on_report(self, report: Report) -> None:
        if isinstance(report, OrderReport):
            self._on_liquidation(report)
            return
        if not isinstance(report, Trade | Quote) or report.symbol not in self._listing:
            return
        if isinstance(report, Trade):
            self._market.note(report)
            symbol = report.symbol.lower()
            self.publish(f"{symbol}@aggTrade", lambda: self._market.aggregate_event(report, self.now_ms()))
            self.publish(f"{symbol}@trade", lambda: self._market.trade_event(report, self.now_ms()))
        else:
            self._market.note(report)
            for name in (f"{report.symbol.lower()}@bookTicker", "!bookTicker"):
                self.publish(name, lambda: self._market.book_ticker_event(report, self.now_ms()))

    def _on_liquidation(self, report: OrderReport) -> None:
        order = report.order
        if report.fill is None or not order.client_id.startswith(wire.LIQUIDATION_PREFIX):
            return
        for name in (f"{order.terms.symbol.lower()}@forceOrder", _ALL_LIQUIDATIONS):
            self.publish(name, lambda: wire.liquidation_event(order, report.fill, self.now_ms()))

    def on_tick(self, name: str) -> None:
        pair = _PAIR.fullmatch(name)
        if pair is not None:
            if self._has_pair(pair):
                self._publish_pair(name, pair)
            return
        found = _NAME.fullmatch(name)
        if found is None or not self._exists(found):  # an address may name whatever it likes
            return
        if found["all"]:
            self._publish_all(name, found["all"])
            return
        symbol, kind, rest = found["symbol"].upper(), found["kind"], found["rest"]
        now, ticks = self.now_ms(), self.ticks
        if kind == "kline" and ticks % 2 == 0:
            event = self._market.candle_event(symbol, rest.removeprefix("_"), now)
            if event is not None:
                self.publish(name, lambda: event)
        elif kind == "markPrice" and ticks % (10 if rest == "@1s" else 30) == 0:
            self.publish(name, lambda: self._market.mark_event(symbol, now))
        elif kind == "ticker" and ticks % 10 == 0:
            self.publish(name, lambda: self._market.day_event(symbol, now))
        elif kind == "miniTicker" and ticks % 10 == 0:
            self.publish(name, lambda: self._market.mini_event(symbol, now))
        elif kind in _BOOKS:
            levels, _, speed = rest.partition("@")
            if ticks % _SPEEDS[f"@{speed}" if speed else ""] == 0:
                self._publish_book(name, symbol, int(levels or 0), now)

    def _publish_pair(self, name: str, pair: re.Match[str]) -> None:
        if self.ticks % 2:
            return
        symbol, now = pair["pair"].upper(), self.now_ms()
        event = self._market.candle_event(symbol, pair["interval"], now)
        if event is not None:
            del event["s"], event["k"]["s"]
            event = {"e": "continuous_kline", "E": now, "ps": symbol, "ct": "PERPETUAL", "k": event["k"]}
            self.publish(name, lambda: event)

    def _publish_all(self, name: str, kind: str) -> None:
        if self.ticks % 10:
            return
        make = {
            "ticker": self._market.day_event,
            "miniTicker": self._market.mini_event,
            "markPrice": self._market.mark_event,
        }[kind]
        now = self.now_ms()
        self.publish(name, lambda: [make(symbol, now) for symbol in self._listing.symbols])

    def _publish_book(self, name: str, symbol: str, levels: int, now: int) -> None:
        """A partial book as it is, or what changed in the book since the last event of this stream."""
        rules = self._listing.rules(symbol)
        bids, asks = self._market.levels(rules, levels or 1000)
        update = self._market.update_id
        if levels:
            before = self._books.last_update(name, update, bids, asks)
        else:
            changed = self._books.since(name, update, bids, asks, wire.padded(None, rules.quantity_places))
            if changed is None:
                return
            before, bids, asks = changed
        event: Json = {"e": "depthUpdate", "E": now, "T": now, "s": symbol, "ps": symbol, "st": 1}
        event |= {"U": before + 1, "u": max(update, before + 1), "pu": before, "b": bids, "a": asks}
        self.publish(name, lambda: event)

    def exists(self, name: str) -> bool:
        if name in self._keys or name in _WITHOUT_SYMBOL:
            return True
        pair = _PAIR.fullmatch(name)
        if pair is not None and self._has_pair(pair):
            return True
        found = _NAME.fullmatch(name)
        return found is not None and self._exists(found)

    def _has_pair(self, pair: re.Match[str]) -> bool:
        return pair["pair"].upper() in self._listing and pair["interval"] in INTERVALS

    def _exists(self, found: re.Match[str]) -> bool:
        if found["all"]:
            return found["all"] in _OF_ALL_SYMBOLS
        kind, rest = found["kind"], found["rest"]
        if found["symbol"].upper() not in self._listing:
            return False
        if kind in _FIXED or kind in _SILENT:
            return not rest
        if kind == "markPrice":
            return rest in ("", "@1s")
        if kind == "kline":
            return rest.removeprefix("_") in INTERVALS
        levels, _, speed = rest.partition("@")
        known = ("", "5", "10", "20") if kind == "depth" else ("",) if kind == "rpiDepth" else ()
        return levels in known and (f"@{speed}" if speed else "") in _SPEEDS

    def opened(self, name: str) -> None:
        found = _NAME.fullmatch(name)
        if found is not None and found["kind"] in _BOOKS and self._exists(found):
            bids, asks = self._market.levels(self._listing.rules(found["symbol"].upper()), 1000)
            self._books.open(name, self._market.update_id, bids, asks)

    def closed(self, name: str) -> None:
        self._books.close(name)

    def drop_account(self, account: str) -> int:
        """Cut the private streams of one account (empty: of all). Returns how many."""
        dropped = 0
        for key in tuple(self._keys.values()):
            if account in ("", key.account.name):
                for reader in tuple(self.readers.get(key.value, ())):
                    self.forget_reader(reader)
                    reader.drop()
                    dropped += 1
        return dropped

    async def close(self) -> None:
        for key in tuple(self._keys.values()):
            self._forget(key)
        await super().close()
