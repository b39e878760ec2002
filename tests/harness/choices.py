"""What the machine chooses from: desks, children, and what may happen on them.

Each story has a few kinds of trouble and not all at once: what interferes with everything would never get far.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from copydesk.model import OrderType, PositionSide, RejectReason, Side, TimeInForce
from hypothesis import strategies as st

MID = 1000
Happening = tuple[str, dict[str, Any]]
Happenings = list[st.SearchStrategy[Happening]]

# --- children ---------------------------------------------------------------------------------------------------------

SIZES = ("x0.5", "x3", "x0.33", "x-1", "x1", "100%")
SPOT_SIZES = tuple(size for size in SIZES if size != "x-1")  # coins that nobody has cannot be sold
POLICIES = {
    "rounding": ("rounding=nearest", "rounding=min_one"),
    "window": ("catch_up.max_age_s=1", "catch_up.max_age_s=30", "catch_up.max_adverse_percent=0.1"),
    "trigger": ("trigger=on_fill",),
    "entries": (
        "unfilled_entry.action=market_after",
        "unfilled_entry.action=market_after,unfilled_entry.after_s=0.2",
        "unfilled_entry.action=chase,unfilled_entry.after_s=0.2",
        "unfilled_entry.action=chase,unfilled_entry.steps=2",
        "unfilled_entry.action=cancel_after,unfilled_entry.after_s=1",
    ),
    "exits": (
        "unfilled_exit.action=wait",
        "unfilled_exit.action=chase,unfilled_exit.after_s=0.2",
        "unfilled_exit.after_s=0.2",
    ),
    "ahead": ("ahead=keep", "ahead=ask"),
    "fitting": ("on_size_reject=shrink_to_fit",),
    "limits": (
        "limits.max_order=4",
        "limits.max_order=4,limits.over=shrink",
        "limits.max_position=7",
        "limits.max_position=7,limits.over=shrink",
        "limits.max_position_notional=9000,limits.over=shrink",
        "limits.daily_loss=2",
        "limits.price_band_percent=0.3",
    ),
    "filters": ("filters.exclude=BTC*", "filters.sessions=mon-sun 00:00-11:08 UTC"),
    "hands": ("hand_trading=enforce", "hand_trading=yield"),
}
"""Settings of a child other than the defaults, by what they are about."""
CHANGES = tuple(text for what in ("rounding", "entries", "exits", "ahead", "fitting") for text in POLICIES[what])
"""What may be changed while the bot works."""


OF_THE_THEME = {
    "requests": ["trigger", "entries", "window"],
    "refusals": ["fitting", "fitting", "limits"],
    "hands": ["hands", "hands"],
    "people": ["limits", "filters", "ahead"],
}
"""Which of them a story with that trouble is about rather than others."""


@st.composite
def children(draw: st.DrawFn, about: frozenset[str], sizes: tuple[str, ...]) -> dict[str, str]:
    """One to five children with mixed settings, as `--child` takes them."""
    kinds = sorted(POLICIES) + [what for theme in sorted(about) for what in OF_THE_THEME.get(theme, [])]
    found = {}
    for number in range(1, draw(st.sampled_from([1, 1, 1, 2, 2, 3, 4, 5])) + 1):
        settings = dict.fromkeys(draw(st.lists(st.sampled_from(kinds), max_size=3)))
        texts = [draw(st.sampled_from(sizes)), *(draw(st.sampled_from(POLICIES[what])) for what in settings)]
        found[f"c{number}"] = ",".join(texts)
    return found


# --- desks ------------------------------------------------------------------------------------------------------------

BUDGETS = (
    *[""] * 4,
    "venue allows 40 requests a minute",
    "venue allows 20 requests a minute to each account",
    "venue takes 1 order a second of each account",
)
SILENCES = ((), (), (), ("parent_silent.action=hold",), ("parent_silent.after_s=5", "parent_silent.action=flatten"))
AMENDS = (("limit",), (), tuple(map(str, OrderType)))


@dataclasses.dataclass(frozen=True)
class Desk:
    """What a story is about. `ends`: what the parent does last."""

    children: dict[str, str]
    hedge: bool
    nets: bool
    oco: bool
    amends: tuple[str, ...]
    budget: str
    silence: tuple[str, ...]
    about: frozenset[str]
    ends: str
    twin: bool
    spot: bool = False

    @property
    def final(self) -> bool:
        """Its venue tells what never arrived: half of the desks, of each mode."""
        return self.hedge == self.nets

    @property
    def shared(self) -> bool:
        """Its children share one budget."""
        return self.budget == BUDGETS[4]


@st.composite
def desks(draw: st.DrawFn, theme: str = "", *, spot: bool = False) -> Desk:
    """`theme`: the only trouble that there shall be. `spot`: coins are traded."""
    about = frozenset([theme] if theme else draw(st.sets(st.sampled_from(sorted(ABOUT)), min_size=1, max_size=3)))
    return Desk(
        children=draw(children(about, SPOT_SIZES if spot else SIZES)),
        hedge=draw(st.just(False) if spot else st.booleans()),
        nets=draw(st.just(True) if spot else st.booleans()),
        oco=draw(st.just(True) if spot else st.booleans()),
        amends=draw(st.sampled_from(AMENDS)),
        budget=draw(st.sampled_from(BUDGETS)),
        silence=draw(st.sampled_from(SILENCES)),
        about=about,
        ends=draw(st.sampled_from(["as it is", "as it is", "without orders", "flat", "flat"])),
        twin=draw(st.sampled_from([True, False, False, False])),
        spot=spot,
    )


# --- the parent -------------------------------------------------------------------------------------------------------

sides = st.sampled_from(list(Side))
books = st.sampled_from([PositionSide.LONG, PositionSide.SHORT])
number = st.integers(0, 4)
STOPS = [type_ for type_ in OrderType if type_.is_conditional]
_PLAIN: dict[str, Any] = {}
_FLAGS: list[dict[str, Any]] = [{"time_in_force": TimeInForce.IOC}, {"time_in_force": TimeInForce.FOK}, {"post_only": True}]


@dataclasses.dataclass(frozen=True)
class Trade:
    """What the parent does; not all of it matters to each. `offset`: ticks from the market, below 0 it crosses."""

    what: str
    side: Side
    quantity: int
    type_: OrderType
    offset: int
    book: PositionSide
    share: int
    more: dict[str, Any]
    limit_flags: dict[str, Any]

    @property
    def flags(self) -> dict[str, Any]:
        return self.limit_flags if self.type_ is OrderType.LIMIT else {}


DOINGS = (
    ("enter",) * 5
    + ("exit",) * 4
    + ("bracket", "pair", "close all", "cancel", "cancel", "change", "change", "change", "flat")
)
trades = st.builds(
    Trade,
    what=st.sampled_from(DOINGS),
    side=sides,
    quantity=st.integers(1, 12),
    type_=st.sampled_from([OrderType.MARKET] * 4 + [OrderType.LIMIT] * 5 + STOPS),
    offset=st.sampled_from([-3, 1, 2, 4, 8]),
    book=books,
    share=st.sampled_from([30, 50, 100, 100, 200, 250]),
    more=st.sampled_from([_PLAIN, {"reduce_only": True}]),
    limit_flags=st.sampled_from([_PLAIN, _PLAIN, *_FLAGS]),
)

# --- what happens -----------------------------------------------------------------------------------------------------


def _happens(often: int, what: str, /, **how: st.SearchStrategy[Any]) -> Happenings:
    return [st.tuples(st.just(what), st.fixed_dictionaries(how)) for _ in range(often)]


ALWAYS = (
    _happens(10, "trades", trade=trades, flows=st.sampled_from([0, 1, 1, 1, 300]))
    + _happens(
        3,
        "fills",
        which=number,
        whose=number,
        quantity=st.sampled_from([1, 2, 5, 1_000, 1_000]),
        then=st.sampled_from(["", "", "flow", "cancel"]),
    )
    + _happens(2, "market_moves", price=st.integers(MID - 12, MID + 12), flows=st.booleans())
    + _happens(
        1,
        "somebody_trades",
        offset=st.integers(-6, 6),
        quantity=st.integers(1, 20),
        depth=st.sampled_from([0, 0, 0, 1, 2, 5, 9, 10_000]),
    )
    + _happens(3, "flow", time=st.sampled_from([1, 1, 300, 3_000, 90_000]))
)
"""Methods of the machine by name, and their arguments. The more often one is named, the more often it happens."""

_WORDS = [
    "connection of {account} goes down",
    "connection of {account} comes back",
    "snapshot of {account} is taken",
    "snapshot of {account} arrives",
    "account of {account} is read again",
]
_REFUSALS = [RejectReason.MARGIN, RejectReason.MARGIN, RejectReason.QUANTITY, RejectReason.PRICE, RejectReason.OTHER]
ABOUT: dict[str, Happenings] = {
    "requests": _happens(
        4,
        "requests_go_wrong",
        which=number,
        trouble=st.sampled_from(["reply", "request", "busy", "sight", "sight", "late"]),
    ),
    "news": _happens(1, "engine_hears", count=st.integers(1, 6), how=st.sampled_from(["", "", " twice", " backwards"]))
    + _happens(1, "venue_takes", count=st.integers(1, 3))
    + _happens(
        2,
        "news_is_lost",
        which=number,
        count=st.integers(1, 6),
        what=st.sampled_from(["reports", "reports", "look-ups", "order", "order", "reveal"]),
    ),
    "connections": _happens(4, "reading", which=number, form=st.sampled_from(_WORDS)),
    "crashes": _happens(
        2,
        "engine_crashes",
        form=st.sampled_from(["engine crashes", "engine crashes after sending"]),
        stays=st.sampled_from([False, False, True]),
    )
    + _happens(1, "engine_hears", count=st.integers(1, 6), how=st.just(""))
    + _happens(1, "venue_takes", count=st.integers(1, 3)),
    "refusals": _happens(
        3, "venue_refuses", which=number, count=st.sampled_from([1, 1, 2, 8]), reason=st.sampled_from(_REFUSALS)
    ),
    "hands": _happens(
        3, "hand_trades", which=number, side=sides, quantity=st.integers(0, 12), book=books, follows=st.booleans()
    ),
    "people": _happens(1, "money_moves", which=number, amount=st.sampled_from([100_000, -50_000]))
    + _happens(1, "trading_becomes", which=number, state=st.sampled_from(["all", "close_only", "none"]))
    + _happens(1, "ticket_is_sent", which=number)
    + _happens(1, "settings_become", which=number, text=st.sampled_from(CHANGES))
    + _happens(1, "another_bot_trades", side=sides, quantity=st.integers(1, 6), book=books),
    "life": _happens(
        2, "bot_stops", policy=st.sampled_from(["leave", "wind_down", "cancel_entries", "cancel_all", "flatten"])
    )
    + _happens(2, "bot_starts_anew", policy=st.sampled_from(["adopt", "copy_now", "copy_now", "copy_if_better"]))
    + _happens(2, "bot_starts", policy=st.sampled_from(["ignore", "adopt", "copy_now", "copy_if_better"])),
}
"""What a story may be about besides."""


def happenings(about: frozenset[str]) -> st.SearchStrategy[Happening]:
    """What may happen in a story that is about this."""
    return st.one_of(ALWAYS + [one for what in sorted(about) for one in ABOUT[what]])
