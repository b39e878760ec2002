"""Whether a login is told of the orders that others make: those by hand in TWS, and those of other programs.

TWS tells a client of its own orders. Client 0 is told of those made by hand too, and only the client whose number
stands in TWS as "Master API client ID" is told of everything. There is no way to ask TWS which one it is; but a client
that is not told finds, in the list of all orders, orders that it has never heard of.
"""

from __future__ import annotations


class Sight:
    """`blind` once an order of somebody else was found that had not been told."""

    def __init__(self, client: int) -> None:
        self.blind = False
        self._client = client
        self._known: set[int] = set()
        self._found: dict[int, int] = {}

    def heard(self, perm: int, client: int, *, reading: bool) -> None:
        """A message about an order: an answer to a question (`reading`), or by itself."""
        if client == self._client:
            return
        if not reading:
            self._known.add(perm)
            self.blind = False
        elif perm not in self._known:
            self._found[perm] = self._found.get(perm, 0) + 1

    def read(self, *, first: bool) -> bool:
        """A list was read to its end. True where it shows now that this login is blind.

        An order that was placed just then comes twice, once as news. What the first list has, nobody could have told.
        """
        untold = [perm for perm, times in self._found.items() if times == 1]
        self._known.update(self._found)
        self._found.clear()
        before, self.blind = self.blind, self.blind or (bool(untold) and not first)
        return self.blind and not before

    @property
    def notice(self) -> str:
        """What has to be set in TWS; empty where this login is told of everything."""
        if not self.blind:
            return ""
        settings = "File > Global Configuration > API > Settings"
        if self._client == 0:
            return (
                "TWS does not tell this login of the orders of other programs: client 0 hears of those made by hand only. "
                f"Give the connection another client id, and set 'Master API client ID' to it in TWS ({settings}). Until "
                "then TWS is asked every few seconds."
            )
        return (
            "TWS does not tell this login of orders made by hand or by other programs: set 'Master API client ID' to "
            f"{self._client} in TWS ({settings}). Until then TWS is asked every few seconds."
        )
