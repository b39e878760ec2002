"""The certificate of a trading day: how every child stood against its target when the day ended, and what is unexplained.

It stands on a row of the journal. Whoever doubts it replays the inputs up to there and gets the same statement again.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from copydesk.copier import Copier
from copydesk.drifting import UNEXPLAINED, drifts
from copydesk.errors import JournalBroken, UnknownName
from copydesk.inputs import Input
from copydesk.journal import Journal, Row
from copydesk.model import ZERO, Record, from_json
from copydesk.state import Desk
from copydesk.view import DriftView
from copydesk.views import health, links_of

KIND = "certificate"
"""The kind of its rows in the journal."""


class ChildStanding(Record):
    """A child of a bot at the day's end, in the words of its health, and its links that hold or should hold something."""

    bot: str
    child: str
    health: str
    links: tuple[DriftView, ...] = ()


class Certificate(Record):
    """`day` (ISO date) ended at `at_ns`. `row_seq` and `row_hash` (hexadecimal): the journal's last row until then."""

    day: str
    at_ns: int
    row_seq: int
    row_hash: str
    children: tuple[ChildStanding, ...]

    @property
    def unexplained(self) -> list[tuple[DriftView, Decimal]]:
        """The links with a difference that nothing explains, and how much of it that is."""
        links = [link for child in self.children for link in child.links]
        lacking = [(link, sum((c.quantity for c in link.causes if c.cause == UNEXPLAINED), ZERO)) for link in links]
        return [(link, quantity) for link, quantity in lacking if quantity]


class Checked(Record):
    """A certificate and what checking it has shown: empty `faults` mean that it holds."""

    certificate: Certificate
    faults: tuple[str, ...] = ()


def certificate_of(desk: Desk, *, day: str, at_ns: int, row_seq: int, row_hash: bytes) -> Certificate:
    """What can be said of the desk as it is."""
    views: dict[tuple[str, str], list[DriftView]] = {}
    for view in drifts(desk):
        views.setdefault((view.bot, view.child), []).append(view)
    children = tuple(
        ChildStanding(
            bot=name,
            child=child.account,
            health=health(desk, bot, child.account, links.get(child.account, ())),
            links=tuple(views.get((name, child.account), ())),
        )
        for name, bot in desk.bots.items()
        for links in (links_of(bot),)
        for child in bot.rules.children
    )
    return Certificate(day=day, at_ns=at_ns, row_seq=row_seq, row_hash=row_hash.hex(), children=children)


def certificates(journal: Journal, *, newest_first: bool = False) -> Iterator[Certificate]:
    for row in journal.rows(kinds=(KIND,), newest_first=newest_first):
        yield from_json(row.body, Certificate)


def find(journal: Journal, day: str = "") -> Certificate:
    """The certificate of a day, the latest without one. Raises `UnknownName`."""
    days = []
    for certificate in certificates(journal, newest_first=True):
        if day in ("", certificate.day):
            return certificate
        days.append(certificate.day)
    if not days:
        raise UnknownName(
            "there is no certificate yet: an engine that runs writes one when a day ends (`day_ends` in copydesk.toml)"
        )
    raise UnknownName(f"there is no certificate of {day}: no engine ran when it ended (the latest is of {days[0]})")


def check(journal: Journal, certificate: Certificate) -> Checked:
    """See that the journal holds, that the certificate stands on a row of it, and that the row's inputs say the same."""
    faults = []
    try:
        journal.verify()
    except JournalBroken as error:
        faults.append(str(error))
    row = _row(journal, certificate.row_seq)
    if row is None or row.hash.hex() != certificate.row_hash:
        faults.append(f"row {certificate.row_seq}, on which it stands, is not the one of this journal")
    elif _again(journal, certificate) != certificate:
        faults.append(f"the inputs up to row {certificate.row_seq} say otherwise")
    return Checked(certificate=certificate, faults=tuple(faults))


def _row(journal: Journal, seq: int) -> Row | None:
    return next(journal.rows(after_seq=seq - 1, before_seq=seq + 1), None)


def _again(journal: Journal, certificate: Certificate) -> Certificate:
    """The certificate as it follows from the inputs that went before it."""
    copier = Copier()
    decode = msgspec.json.Decoder(Input).decode
    for row in journal.rows(kinds=("input",), before_seq=certificate.row_seq + 1):
        copier.apply(decode(row.body))
    return certificate_of(
        copier.desk,
        day=certificate.day,
        at_ns=certificate.at_ns,
        row_seq=certificate.row_seq,
        row_hash=bytes.fromhex(certificate.row_hash),
    )


def certificate_words(certificate: Certificate) -> str:
    """The sentence of the log."""
    links = sum(len(child.links) for child in certificate.children)
    said = f"Certificate of {certificate.day}: {len(certificate.unexplained)} unexplained, {links} open position"
    return f"{said}{'' if links == 1 else 's'} of {len(certificate.children)} children"
