"""Whether TWS takes an order: contract, type, price, size, time in force, in the order in which it looks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from copydesk_ib.rehearsal.codes import Refusal, invalid
from copydesk_ib.rehearsal.listings import Catalogue, Leg, Listing
from copydesk_ib.rehearsal.tickets import AT_CLOSE, PRICED, TIFS, TYPES, WITH_AUX, Wish
from copydesk_ib.rehearsal.wire import integer


def find_listing(catalogue: Catalogue, told: Mapping[str, str], *, exchange: bool = True) -> Listing:
    """The one contract that a client means. Raises `Refusal` for none, for several, and for a missing exchange."""
    if exchange and not told["exchange"]:
        raise invalid("Missing order exchange")
    found = catalogue.matching(told)
    if not found:
        raise Refusal("unknown-contract")
    if len(found) > 1:
        raise Refusal("ambiguous", symbol=told["symbol"])
    return found[0]


def find_legs(catalogue: Catalogue, told: Mapping[str, Any]) -> tuple[Leg, ...]:
    """The legs of a combination. Raises `Refusal`."""
    legs = []
    for leg in told.get("comboLegs") or ():
        listing = catalogue.by_id.get(integer(leg["conId"]))
        if listing is None:
            raise Refusal("unknown-contract")
        ratio = integer(leg["ratio"])
        if ratio < 1 or leg["action"] not in ("BUY", "SELL"):
            raise invalid("Invalid combo leg")
        legs.append(Leg(listing, ratio, 1 if leg["action"] == "BUY" else -1, leg["exchange"]))
    if len(legs) < 2:
        raise invalid("Combo orders need at least two legs")
    return tuple(legs)


def check_wish(wish: Wish, listing: Listing | None, legs: tuple[Leg, ...]) -> None:
    """The order in itself. Raises `Refusal`."""
    if wish.type not in TYPES or (legs and wish.type not in ("MKT", "LMT")):
        raise Refusal("order-type")
    if wish.tif not in TIFS:
        raise Refusal("good-till", tif=wish.tif)
    if wish.type in AT_CLOSE and (wish.tif != "DAY" or (listing is not None and listing.sec_type != "STK")):
        raise Refusal("at-close-tif") if wish.tif != "DAY" else Refusal("order-type")
    if wish.tif in ("IOC", "FOK") and wish.type not in ("MKT", "LMT"):
        raise Refusal("tif", tif=wish.tif, type=wish.type)
    _check_size(wish, listing)
    _check_prices(wish, listing, legs)


def _check_size(wish: Wish, listing: Listing | None) -> None:
    step = listing.step if listing is not None else Decimal(1)
    if wish.quantity == 0:
        raise Refusal("zero")
    if wish.quantity < 0:
        raise invalid("Order quantity must be positive")
    if wish.quantity % step:
        raise Refusal("fraction") if step == 1 else Refusal("too-small", quantity=wish.quantity, least=step)


def _check_prices(wish: Wish, listing: Listing | None, legs: tuple[Leg, ...]) -> None:
    tick = listing.tick if listing is not None else min(leg.listing.tick for leg in legs)
    if wish.type in PRICED and wish.limit is None:
        raise Refusal("incomplete")
    if wish.type in WITH_AUX and not wish.aux:
        raise Refusal("incomplete")
    if wish.type.startswith("TRAIL") and not wish.aux and not wish.trail_percent:
        raise Refusal("incomplete")
    if wish.type == "TRAIL LIMIT" and wish.limit_offset is None and wish.limit is None:
        raise Refusal("incomplete")
    if wish.trail_percent is not None and not 0 < wish.trail_percent < 100:
        raise invalid("Trailing percent must be between 0 and 100")
    checked = [wish.trail_stop]
    if wish.type in PRICED or wish.type == "TRAIL LIMIT":
        checked.append(wish.limit)
    if wish.type in WITH_AUX or (wish.type.startswith("TRAIL") and wish.trail_percent is None):
        checked.append(wish.aux)
    for price in checked:
        if price is not None and (price % tick or (price <= 0 and not legs)):
            raise Refusal("tick")


def same_order(old: Mapping[str, Any], new: Mapping[str, Any], before: Wish, after: Wish) -> bool:
    """Whether a second placeOrder of one id is that order with other terms, and no other order."""
    if before.action is not after.action:
        return False
    return not new["account"] or new["account"] == old["account"] or not old["account"]
