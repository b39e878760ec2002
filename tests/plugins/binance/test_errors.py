"""The error table: what each answer of the venue means."""

from __future__ import annotations

import json

import pytest
from copydesk.errors import AuthFailed, NotReady, RateLimited, Refused
from copydesk.model import Rejected, RejectReason, Unknown
from copydesk_binance.errors import CODES, meaning, raise_for, read_reply, refusal
from copydesk_wire.errors import Family

NOW_MS = 1_700_000_000_000


def error(code: int, message: str = "x") -> str:
    return json.dumps({"code": code, "msg": message})


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (400, error(-2019, "Margin is insufficient."), RejectReason.MARGIN),
        (400, error(-2022, "ReduceOnly Order is rejected."), RejectReason.NOTHING_TO_REDUCE),
        (400, error(-2021, "Order would immediately trigger."), RejectReason.PRICE),
        (400, error(-5022, "Post Only order will be rejected."), RejectReason.POST_ONLY),
        (400, error(-4116, "ClientOrderId is duplicated."), RejectReason.DUPLICATE_ID),
        (400, error(-5027, "No need to modify the order."), RejectReason.UNCHANGED),
        (400, error(-2011, "Unknown order sent."), RejectReason.NOT_FOUND),
        (400, error(-2013, "Order does not exist."), RejectReason.NOT_FOUND),
        (400, error(-4164, "Order's notional must be no smaller than 20"), RejectReason.QUANTITY),
        (400, error(-4061, "Order's position side does not match user's setting."), RejectReason.MODE),
        (400, error(-1121, "Invalid symbol."), RejectReason.SYMBOL),
        (400, error(-1111, "Precision is over the maximum defined for this asset."), RejectReason.QUANTITY),
        (400, error(-4120, "Use the Algo Order API endpoints instead."), RejectReason.OTHER),
        (400, error(-99999, "something new"), RejectReason.OTHER),
        (429, error(-1003, "Too many requests"), RejectReason.RATE_LIMIT),
        (429, error(-1015, "Too many new orders"), RejectReason.RATE_LIMIT),
        (418, "", RejectReason.RATE_LIMIT),
        (403, "<html>WAF</html>", RejectReason.RATE_LIMIT),
        (503, error(-1008, "Server is currently overloaded"), RejectReason.OVERLOADED),
        (503, error(-1, "Service Unavailable."), RejectReason.OVERLOADED),
        (503, "Service Unavailable", RejectReason.OVERLOADED),
        # Nobody knows:
        (503, error(-1000, "Unknown error, please check your request or try again later."), Family.UNKNOWN),
        (503, error(-1003, "Unknown error, please check your request or try again later."), Family.UNKNOWN),
        (503, "", Family.UNKNOWN),
        (502, "<html>Bad Gateway</html>", Family.UNKNOWN),
        (500, error(-1000), Family.UNKNOWN),
        (408, error(-1007, "Timeout waiting for response from backend server."), Family.UNKNOWN),
        (200, error(-1006, "An unexpected response was received"), Family.UNKNOWN),
        (200, "not json", Family.UNKNOWN),
        (404, "<html>", Family.UNKNOWN),
        # The login:
        (401, error(-2015, "Invalid API-key, IP, or permissions for action."), Family.AUTH),
        (401, error(-2014, "API-key format invalid."), Family.AUTH),
        (400, error(-1022, "Signature for this request is not valid."), Family.AUTH),
        (400, error(-1021, "Timestamp for this request is outside of the recvWindow."), Family.CLOCK),
        # The websocket API's envelope:
        (400, json.dumps({"id": "1", "status": 400, "error": {"code": -2019, "msg": "m"}}), RejectReason.MARGIN),
    ],
)
def test_what_an_answer_means(status: int, text: str, expected: RejectReason | Family) -> None:
    assert meaning(read_reply(status, text)) == expected


def test_only_what_may_have_happened_is_unknown() -> None:
    for code, result in CODES.items():
        outcome = refusal(read_reply(400, error(code)), "place a-1", NOW_MS)
        assert isinstance(outcome, Unknown) == (result is Family.UNKNOWN), code
        assert str(code) in outcome.message
        assert "a-1" in outcome.message
        if isinstance(outcome, Rejected):
            assert outcome.code == str(code)


def test_a_rate_limit_says_when_to_come_back() -> None:
    by_header = refusal(read_reply(429, error(-1003), retry_after="7"), "place a", NOW_MS)
    assert isinstance(by_header, Rejected)
    assert by_header.retry_after_ms == 7000
    banned = error(-1003, f"Way too many requests; IP(1.2.3.4) banned until {NOW_MS + 5000}.")
    by_sentence = refusal(read_reply(418, banned), "place a", NOW_MS)
    assert isinstance(by_sentence, Rejected)
    assert by_sentence.retry_after_ms == 5000


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, -2015, AuthFailed),
        (429, -1003, RateLimited),
        (503, -1008, NotReady),
        (500, -1000, NotReady),
        (400, -1021, NotReady),
        (400, -1121, Refused),
    ],
)
def test_a_read_raises_what_says_what_to_do(status: int, code: int, expected: type[Exception]) -> None:
    with pytest.raises(expected, match=str(code)):
        raise_for(read_reply(status, error(code)), "GET openOrders", NOW_MS)


def test_a_fine_reply_is_no_error() -> None:
    assert read_reply(200, '{"orderId": 1, "price": 1.10}').is_fine
    assert read_reply(200, '{"code": 200, "msg": "success"}').is_fine
    assert read_reply(200, "[]").is_fine
    assert str(read_reply(200, '{"price": 1.10}').body["price"]) == "1.10"
