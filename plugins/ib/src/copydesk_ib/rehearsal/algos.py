"""IB's algorithms: which there are, what each may be told, and whether an order may have one. Pure.

Only what an order asks for is checked. At the exchange it is the market or limit order that it is given as, at once and
whole: how an algorithm spreads an order over time is IB's own affair, and nothing of it is told but the fills.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from copydesk_ib.rehearsal.codes import Refusal
from copydesk_ib.rehearsal.tickets import Wish
from copydesk_ib.rehearsal.times import moment
from copydesk_ib.rehearsal.wire import WireError, number

Check = Callable[[str], bool]


def _among(*words: str) -> Check:
    return lambda told: told in words


def _share(told: str) -> bool:
    """A part of the volume, as IB bounds it."""
    return Decimal("0.1") <= (number(told) or Decimal(0)) <= Decimal("0.5")


def _size(told: str) -> bool:
    return (number(told) or Decimal(0)) > 0


def _time(told: str) -> bool:
    moment(told)
    return True


_FLAG = _among("0", "1")
_TIMES: Final[dict[str, Check]] = {"startTime": _time, "endTime": _time, "allowPastEndTime": _FLAG}
_RISK = _among("Get Done", "Aggressive", "Neutral", "Passive")
_ALGOS: Final[dict[str, dict[str, Check]]] = {
    "Adaptive": {"adaptivePriority": _among("Urgent", "Normal", "Patient")},
    "Twap": _TIMES | {"strategyType": _among("Marketable", "Matching Midpoint", "Matching Same Side", "Matching Last")},
    "Vwap": _TIMES | {"maxPctVol": _share, "noTakeLiq": _FLAG, "speedUp": _FLAG},
    "ArrivalPx": _TIMES | {"maxPctVol": _share, "riskAversion": _RISK, "forceCompletion": _FLAG},
    "ClosePx": _TIMES | {"maxPctVol": _share, "riskAversion": _RISK, "forceCompletion": _FLAG},
    "PctVol": _TIMES | {"pctVol": _share, "noTakeLiq": _FLAG},
    "DarkIce": _TIMES | {"displaySize": _size},
}


def check_algo(told: Mapping[str, Any], wish: Wish) -> None:
    """Whether the order may have its algorithm, if it has one. Raises `Refusal`."""
    name = told.get("algoStrategy", "")
    if not name:
        return
    attributes = _ALGOS.get(name)
    if attributes is None:
        raise Refusal("algo-unknown")
    if wish.type not in ("MKT", "LMT") or wish.tif not in ("DAY", "GTC") or told["secType"] == "BAG":
        raise Refusal("algo-not-allowed")
    for pair in told.get("algoParams") or ():
        check = attributes.get(pair["tag"])
        if check is None:
            raise Refusal("algo-attribute")
        try:
            valid = check(pair["value"])
        except (ValueError, WireError):
            valid = False
        if not valid:
            raise Refusal("algo-value", reason=f"Invalid value of {pair['tag']}: {pair['value']}")
