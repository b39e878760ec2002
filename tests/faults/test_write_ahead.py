"""The input is kept before the first byte leaves: seen from the venue's side, in what a death just then would leave."""

from __future__ import annotations

from pathlib import Path

import pytest
from copydesk.journal import Journal
from copydesk_paper.records import Execution, OrderReport, Report
from harness.deaths import left_behind
from harness.sockets import CHILDREN, PARENT, SocketDesk

pytestmark = pytest.mark.xdist_group("peers")


async def test_the_parents_event_is_kept_when_the_first_childs_order_arrives(tmp_path: Path) -> None:
    desk = SocketDesk(tmp_path)
    await desk.start()
    found: list[bool] = []
    parents: list[str] = []

    def arrives(report: Report) -> None:
        if not isinstance(report, OrderReport) or report.execution is not Execution.NEW:
            return
        if report.account == PARENT:
            parents.append(report.order.venue_id)
        elif report.account in CHILDREN:
            with Journal.open(left_behind(tmp_path / "journal.db", tmp_path / f"left-{len(found)}")) as journal:
                rows = list(journal.rows(kinds=("input",), account=PARENT, newest_first=True, limit=5))
            told = f'"venue_id":"{parents[-1]}"'.encode()
            found.append(any(b'"type":"report"' in row.body and told in row.body for row in rows))

    try:
        stop = desk.rehearsal.exchange.listen(arrives)
        await desk.buy("0.010")
        await desk.settled()
        stop()
        await desk.close_all()
    finally:
        await desk.stop()
    assert found == [True] * len(CHILDREN)
