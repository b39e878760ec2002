"""What the library's decoder calls: each message of TWS, handed to the login that it came for."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from copydesk_ib.login import Login


class Zone:
    """Where the decoder looks for the time zone of TWS, for executions that do not name one."""

    TimezoneTWS = UTC


class Wrapper:
    """The methods are named by the TWS API. Those of messages that this plugin does not read are missing."""

    ib = Zone()
    defaultTimezone = UTC

    def __init__(self, login: Login) -> None:
        self._login = login

    # --- the connection ---

    def tcpDataArrived(self) -> None:
        self._login.on_read()

    def tcpDataProcessed(self) -> None:
        self._login.on_worked_off()

    def connectAck(self) -> None:
        """The server's version is known."""

    def setEventsDone(self) -> None:
        self._login.on_closed()

    def connectionClosed(self) -> None:
        """Told after `setEventsDone`, where the connection had been up."""

    def managedAccounts(self, names: str) -> None:
        self._login.accounts = tuple(name for name in names.split(",") if name)

    def nextValidId(self, number: int) -> None:
        self._login.waiting.next_id(number)
        self._login.on_order_id(number - 1)

    def currentTime(self, seconds: int) -> None:
        """A sign of life that was asked for."""

    def error(self, number: int, code: int, sentence: str, _: str) -> None:
        self._login.on_error(number, code, sentence)

    def unreadable(self, message: list[str], error: Exception) -> None:
        self._login.on_unreadable(message, error)

    # --- orders ---

    def openOrder(self, _: int, contract: Any, order: Any, state: Any) -> None:
        self._login.on_open_order(contract, order, state)

    def openOrderEnd(self) -> None:
        self._login.on_end("orders")

    def orderStatus(
        self,
        number: int,
        word: str,
        filled: Decimal,
        remaining: Decimal,
        average: Decimal | None,
        perm: int,
        parent: int,
        last: Decimal | None,
        client: int,
        *_: object,
    ) -> None:
        self._login.on_order_status(number, word, filled or Decimal(0), average, perm, client)

    def completedOrder(self, contract: Any, order: Any, state: Any) -> None:
        self._login.on_completed(contract, order, state)

    def completedOrdersEnd(self) -> None:
        self._login.on_end("completed")

    def execDetails(self, request: int, contract: Any, execution: Any) -> None:
        self._login.on_execution(contract, execution, asked=request != -1)

    def execDetailsEnd(self, request: int) -> None:
        self._login.on_executions_end(request)

    def commission(self, execution: str, amount: Decimal, currency: str) -> None:
        self._login.on_commission(execution, amount, currency)

    # --- accounts ---

    def position(self, account: str, contract: Any, quantity: Decimal, cost: Decimal) -> None:
        self._login.on_position(account, contract, quantity, cost)

    def positionEnd(self) -> None:
        self._login.on_end("positions")

    def accountUpdateMulti(self, request: int, account: str, model: str, tag: str, value: str, currency: str) -> None:
        self._login.on_row(request, (account, tag, value, currency))

    def accountUpdateMultiEnd(self, request: int) -> None:
        self._login.on_request_end(request)

    # --- contracts and prices ---

    def contractDetails(self, request: int, details: Any) -> None:
        self._login.on_row(request, details)

    bondContractDetails = contractDetails

    def contractDetailsEnd(self, request: int) -> None:
        self._login.on_request_end(request)

    def marketRule(self, number: int, steps: list[tuple[Decimal, Decimal]]) -> None:
        self._login.on_rule(number, steps)

    def priceTick(self, request: int, tick: int, price: Decimal | None) -> None:
        self._login.on_row(request, (tick, price))

    def tickString(self, request: int, tick: int, text: str) -> None:
        """Times of trades: the price comes by itself."""

    def tickSnapshotEnd(self, request: int) -> None:
        self._login.on_request_end(request)

    def marketDataType(self, request: int, kind: int) -> None:
        """Live, frozen or delayed: the ticks say so themselves."""

    def bars(self, request: int, rows: list[tuple[str, ...]]) -> None:
        for row in rows:
            self._login.on_row(request, row)
        self._login.on_request_end(request)
