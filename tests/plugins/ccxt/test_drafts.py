"""What is put together from parts of ccxt's requests is, byte for byte, what ccxt makes and signs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ccxt.pro as ccxt
import pytest
from copydesk_binance import markets as binance
from copydesk_bybit import markets as bybit
from copydesk_wire.templates import Draft, Pen, Unfit, cut


def client(name: str) -> Any:
    made = getattr(ccxt, name)()
    made.session = None
    return made


VENUES: dict[str, Callable[[], Any]] = {
    "binance-futures": lambda: binance.Venue(client("binanceusdm"), None, ""),  # type: ignore[arg-type]
    "binance": lambda: binance.SpotVenue(client("binance"), None, ""),  # type: ignore[arg-type]
    "bybit": lambda: bybit.Venue(client("bybit"), None, ""),  # type: ignore[arg-type]
}


@pytest.fixture(params=list(VENUES))
def venue(request: pytest.FixtureRequest) -> Any:
    return VENUES[request.param]()


async def test_everyday_requests_are_put_together_from_parts(venue: Any) -> None:
    """Were ccxt to sign otherwise one day, requests would stay right; this tells that they became slow."""
    learn = {"hedge_mode": False} if venue.kind == "binance-futures" else {}
    venue.learn_shapes(**learn)
    await asyncio.gather(*(shapes._learning for shapes in venue.shapes))
    for shapes in venue.shapes:
        assert shapes._known
        assert all(shapes._known.values()), [shape for shape, template in shapes._known.items() if template is None]


def test_a_request_that_ccxt_signs_by_another_rule_is_left_to_it(venue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sign = type(venue.client).sign

    def by_the_hour(self: Any, path: str, api: Any, method: str, params: dict[str, Any]) -> Any:
        return sign(self, path, api, method, params | {"hour": self.milliseconds()})

    path, api = ("v5/order/create", "private") if venue.kind == "bybit" else ("order", "private")
    api = "fapiPrivate" if venue.kind == "binance-futures" else api

    def draft(pen: Pen) -> Draft:
        made: Draft = venue.draft("POST", path, [api], {"symbol": "qZmark"}, pen)
        return made

    cut(draft, ("qZmark",))
    monkeypatch.setattr(type(venue.client), "sign", by_the_hour)
    with pytest.raises(Unfit):
        cut(draft, ("qZmark",))
