"""Run the pure engine over a journal's inputs again and compare what it decides with what was recorded, byte for byte."""

from __future__ import annotations

from collections import deque

import msgspec

from copydesk.copier import Copier
from copydesk.inputs import EngineStarted, Input, Note
from copydesk.journal import Journal
from copydesk.model import Record, to_json


class Difference(Record):
    """An intent that came out otherwise. `recorded` or `replayed` is empty where one side has none."""

    seq: int
    recorded: str
    replayed: str


class ReplayReport(Record):
    """`unrecorded`: decided and not written before the process was killed; they are decided and settled again."""

    inputs: int
    intents: int
    unrecorded: int
    difference: Difference | None = None


def replay(journal: Journal) -> ReplayReport:
    """Replay everything, up to the first difference."""
    copier = Copier()
    decode = msgspec.json.Decoder(Input).decode
    expected: deque[bytes] = deque()
    inputs = intents = unrecorded = 0
    for row in journal.rows(kinds=("input", "intent")):
        if row.kind == "intent":
            intents += 1
            again = expected.popleft() if expected else b""
            if again != row.body:
                difference = Difference(seq=row.seq, recorded=row.body.decode(), replayed=again.decode())
                return ReplayReport(inputs=inputs, intents=intents, unrecorded=unrecorded, difference=difference)
            continue
        given = decode(row.body)
        if isinstance(given, EngineStarted):
            # Whatever the process before was still to write was lost with it.
            unrecorded += len(expected)
            expected.clear()
        inputs += 1
        decisions = copier.apply(given)
        expected.extend(to_json(decision) for decision in decisions if not isinstance(decision, Note))
    return ReplayReport(inputs=inputs, intents=intents, unrecorded=unrecorded + len(expected))
