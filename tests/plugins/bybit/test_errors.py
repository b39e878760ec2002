"""The error table: what each answer of the venue means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from copydesk.errors import AuthFailed, NotReady, RateLimited, Refused
from copydesk.model import Rejected, RejectReason, Unknown
from copydesk_bybit.errors import CODES, Reply, meaning, raise_for, read_answer, refusal
from copydesk_wire.connection import Answer
from copydesk_wire.errors import Family

NOW_MS = 1_700_000_000_000
TABLE = Path(__file__).parents[3].parent / "shared/venue-samples/bybit/errors/bbdoc-error-code-table.json"


def reply(code: int, message: str = "x", status: int = 200, **headers: str) -> Reply:
    return answered(json.dumps({"retCode": code, "retMsg": message, "result": {}}), status, **headers)


def answered(text: str, status: int = 200, **headers: str) -> Reply:
    sent = {name.replace("_", "-").lower().encode(): value.encode() for name, value in headers.items()}
    return read_answer(Answer(status, text.encode(), sent))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(110007, "ab not enough for new order"), RejectReason.MARGIN),
        (reply(170131, "Insufficient balance."), RejectReason.MARGIN),
        (reply(110017, "current position is zero, cannot fix reduce-only order qty"), RejectReason.NOTHING_TO_REDUCE),
        (reply(110072, "OrderLinkedID is duplicate"), RejectReason.DUPLICATE_ID),
        (reply(170141, "Duplicate clientOrderId."), RejectReason.DUPLICATE_ID),
        (reply(110001, "order not exists or too late to cancel"), RejectReason.NOT_FOUND),
        (reply(170213, "Order does not exist."), RejectReason.NOT_FOUND),
        (reply(110092, "expect Rising, but trigger_price[1] <= current[2]??laste"), RejectReason.PRICE),
        (reply(110003, "price is invalid"), RejectReason.PRICE),
        (reply(110094, "Order does not meet minimum order value 5USDT"), RejectReason.QUANTITY),
        (reply(10001, "The number of contracts exceeds minimum limit allowed"), RejectReason.QUANTITY),
        (reply(10001, "Qty invalid"), RejectReason.QUANTITY),
        (reply(10001, "params error: price invalid"), RejectReason.PRICE),
        (reply(10001, "params error: symbol invalid NOSUCH"), RejectReason.SYMBOL),
        (reply(10001, "position idx not match position mode"), RejectReason.MODE),
        (
            reply(10001, "The order remains unchanged as the parameters entered match the existing ones."),
            RejectReason.UNCHANGED,
        ),
        (reply(10001, "something new"), RejectReason.OTHER),
        (reply(999999, "something new"), RejectReason.OTHER),
        (reply(10006, "Too many visits. Exceeded the API Rate Limit."), RejectReason.RATE_LIMIT),
        (reply(429, "The trading service is experiencing a high server load."), RejectReason.OVERLOADED),
        (reply(10019, "ws trade service is restarting"), RejectReason.OVERLOADED),
        (answered("<html>access too frequent</html>", 403), RejectReason.RATE_LIMIT),
        (answered("", 429), RejectReason.RATE_LIMIT),
        # Nobody knows:
        (reply(10000, "Server Timeout"), Family.UNKNOWN),
        (reply(10016, "Server error."), Family.UNKNOWN),
        (reply(170007, "Timeout waiting for response from backend server."), Family.UNKNOWN),
        (reply(170146, "Order creation timeout"), Family.UNKNOWN),
        (answered("<html>Bad Gateway</html>", 502), Family.UNKNOWN),
        (answered("not json"), Family.UNKNOWN),
        (answered("{}"), Family.UNKNOWN),
        # The login:
        (reply(10003, "API key is invalid."), Family.AUTH),
        (reply(10004, "error sign!"), Family.AUTH),
        (reply(33004, "Your api key has expired"), Family.AUTH),
        (reply(10002, "invalid request, please check your server timestamp or recv_window param."), Family.CLOCK),
    ],
)
def test_what_an_answer_means(answer: Reply, expected: RejectReason | Family) -> None:
    assert not answer.is_fine
    assert meaning(answer) == expected


def test_only_what_may_have_happened_is_unknown() -> None:
    for code, result in CODES.items():
        outcome = refusal(reply(code), "place a-1", NOW_MS)
        assert isinstance(outcome, Unknown) == (result is Family.UNKNOWN), code
        assert str(code) in outcome.message
        assert "a-1" in outcome.message
        if isinstance(outcome, Rejected):
            assert outcome.code == str(code)


def test_a_rate_limit_says_when_to_come_back() -> None:
    by_header = refusal(reply(10006, x_bapi_limit_reset_timestamp=str(NOW_MS + 700)), "place a", NOW_MS)
    assert isinstance(by_header, Rejected)
    assert by_header.retry_after_ms == 700
    without = refusal(reply(10006), "place a", NOW_MS)
    assert isinstance(without, Rejected)
    assert without.retry_after_ms == 1000
    of_the_address = refusal(answered("access too frequent", 403), "place a", NOW_MS)
    assert isinstance(of_the_address, Rejected)
    assert of_the_address.retry_after_ms == 5000
    no_limit = refusal(reply(110007, x_bapi_limit_reset_timestamp=str(NOW_MS + 700)), "place a", NOW_MS)
    assert isinstance(no_limit, Rejected)
    assert no_limit.retry_after_ms == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(10003), AuthFailed),
        (reply(10006), RateLimited),
        (reply(10016), NotReady),
        (reply(10002), NotReady),
        (answered("", 502), NotReady),
        (reply(10001, "symbol invalid"), Refused),
    ],
)
def test_errors_of_reads(answer: Reply, error: type[Exception]) -> None:
    with pytest.raises(error, match="GET something"):
        raise_for(answer, "GET something", NOW_MS)


def test_the_codes_of_the_table_are_documented() -> None:
    """Or they are ones of the gateway, order entry or older replies, which the table of the documents leaves out."""
    if not TABLE.is_file():
        pytest.skip(f"no recorded payloads at {TABLE.parent}")
    documented = {int(code) for code in _numbers(json.loads(TABLE.read_text()))}
    elsewhere = {10403, 10429, 20003, 10019, 34036, 30228}
    assert set(CODES) - documented - elsewhere == set()


def _numbers(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {key for key in value if key.lstrip("-").isdigit()}
        return own | {found for inner in value.values() for found in _numbers(inner)}
    if isinstance(value, list):
        return {found for inner in value for found in _numbers(inner)}
    text = str(value)
    return {text} if text.lstrip("-").isdigit() else set()
