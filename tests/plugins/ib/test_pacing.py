"""What goes to TWS stays within its limit, exits first; and what was not sent is told from what nobody knows."""

from __future__ import annotations

import asyncio

import pytest
from copydesk.model import Outcome, Rejected, RejectReason, Unknown
from copydesk_ib import pacing, waiting
from copydesk_ib.pacing import Full, Pacer, Urgency
from copydesk_ib.waiting import Act, Wait, Waiting


class Line:
    """A pacer of three messages in a short time, and what went out by it."""

    def __init__(self) -> None:
        self.pacer = Pacer(rate=3, window_s=0.05)
        self.sent: list[str] = []

    def send(self, urgency: Urgency, name: str, key: object = None) -> int | None:
        return self.pacer.submit(urgency, lambda: self.sent.append(name), key)

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(40):
            while True:
                if len(self.sent) >= count:
                    return self.sent
                await asyncio.sleep(0.005)


async def test_what_fits_goes_at_once_and_exits_go_before_entries() -> None:
    line = Line()
    for number in range(3):
        assert line.send(Urgency.READ, f"read {number}") is None
    assert line.sent == ["read 0", "read 1", "read 2"]
    for urgency, name in (
        (Urgency.READ, "r"),
        (Urgency.ENTRY, "entry"),
        (Urgency.EXIT, "exit"),
        (Urgency.CANCEL, "cancel"),
    ):
        assert line.send(urgency, name) is not None
    assert (await line.until(7))[3:] == ["cancel", "exit", "entry", "r"]


async def test_no_more_than_the_rate_goes_in_a_window() -> None:
    line = Line()
    times: list[float] = []
    loop = asyncio.get_running_loop()
    for _ in range(10):
        line.pacer.submit(Urgency.READ, lambda: (times.append(loop.time()), line.sent.append("x"))[0])
    await line.until(10)
    for first, fourth in zip(times, times[3:], strict=False):
        assert fourth - first >= 0.049


async def test_of_two_changes_of_one_order_that_wait_the_later_goes_in_the_place_of_the_first() -> None:
    line = Line()
    for number in range(3):
        line.send(Urgency.READ, f"read {number}")
    line.send(Urgency.CHANGE, "price 1", key=("modify", 5))
    line.send(Urgency.CHANGE, "other", key=("modify", 6))
    line.send(Urgency.CHANGE, "price 2", key=("modify", 5))
    assert (await line.until(5))[3:] == ["price 2", "other"]


async def test_what_is_withdrawn_is_never_sent() -> None:
    line = Line()
    for number in range(3):
        line.send(Urgency.READ, f"read {number}")
    line.pacer.withdraw(line.send(Urgency.ENTRY, "withdrawn", key="k"))
    line.send(Urgency.ENTRY, "stays", key="k")
    assert (await line.until(4))[3:] == ["stays"]


async def test_the_queue_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "WAITING_MOST", 2)
    line = Line()
    for number in range(5):
        line.send(Urgency.READ, str(number))
    with pytest.raises(Full):
        line.send(Urgency.READ, "too many")
    line.pacer.clear()


# --- waiting for what TWS says --------------------------------------------------------------------------------------


def queued(waits: Waiting, act: Act = Act.PLACE, number: int = 0) -> asyncio.Future[Outcome]:
    """What comes of a request that waits for its turn."""
    told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    waits.add(Wait(act, f"{act} {number}", told.set_result, number))
    return told


def sent(waits: Waiting, number: int, act: Act = Act.PLACE) -> asyncio.Future[Outcome]:
    """What comes of a request that went out under an order id."""
    return queued(waits, act, number)


async def test_an_order_that_tws_never_got_is_not_in_doubt() -> None:
    """The next connection is told which order id comes next: what had that one or a later did not arrive."""
    waits = Waiting()
    arrived, lost, waited = sent(waits, 5), sent(waits, 6), queued(waits)
    change = sent(waits, 4, Act.MODIFY)
    waits.lose_all("the connection was lost")
    assert isinstance(await change, Unknown)
    assert isinstance(await waited, Rejected)
    waits.next_id(6)
    outcome = await lost
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.OVERLOADED
    assert isinstance(await arrived, Unknown)


async def test_without_a_new_connection_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "ANSWER_S", 0.02)
    waits = Waiting()
    wait = sent(waits, 5)
    waits.lose_all("the connection was lost")
    outcome = await wait
    assert isinstance(outcome, Unknown)
    assert "the connection was lost" in outcome.message


async def test_an_order_that_waited_too_long_for_its_turn_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "ANSWER_S", 0.02)
    waits = Waiting()
    outcome = await queued(waits)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.is_transient


@pytest.mark.parametrize(("code", "decides"), [(201, True), (110, True), (399, False), (10349, False), (2109, False)])
async def test_an_error_of_an_order_that_lives_is_no_refusal(
    code: int, decides: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "ANSWER_S", 0.02)
    waits = Waiting()
    wait = sent(waits, 5)
    assert waits.refused(5, code, "a sentence") == ([Act.PLACE] if decides else [])
    assert isinstance(await wait, Rejected if decides else Unknown)
