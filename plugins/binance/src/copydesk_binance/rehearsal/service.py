"""One of Binance's services: who may ask, what it costs, what is done, whatever way a request comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from copydesk_paper.serving.misbehaviour import Misbehaviour

from copydesk_binance.rehearsal.codes import Refusal, Wording
from copydesk_binance.rehearsal.limits import OrderCount, RequestWeight
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.routing import Call, Desk, Security, Table
from copydesk_binance.rehearsal.signing import check_form_of_key, check_signature, check_signed_params, check_time


class Holder(Protocol):
    """What a service knows of each account."""

    @property
    def name(self) -> str: ...
    @property
    def orders(self) -> OrderCount: ...
    @property
    def key(self) -> str: ...
    @property
    def may_log_on(self) -> bool: ...
    def has_signed(self, text: str, signature: str) -> bool: ...


HolderType = TypeVar("HolderType", bound=Holder)


class Service(Generic[Desk, HolderType]):
    """`desk` is what the endpoints work on, `by_key` the accounts by API key."""

    def __init__(
        self,
        desk: Desk,
        table: Table[Desk, HolderType],
        by_key: Mapping[str, HolderType],
        weights: RequestWeight,
        misbehaviour: Misbehaviour,
        wording: Wording,
        now_ms: Callable[[], int],
    ) -> None:
        self.desk = desk
        self.table = table
        self.weights = weights
        self.misbehaviour = misbehaviour
        self.wording = wording
        self.now_ms = now_ms
        self._by_key = by_key

    def authenticate(self, key: str, security: Security, params: Params, query: str, body: str, ip: str) -> HolderType:
        """Whose REST request it is. Raises `Refusal`."""
        account = self._owner(key, ip)
        if security is Security.SIGNED:
            self._check_time(account, params)
            check_signature(account, query, body)
        return account

    def authenticate_params(self, security: Security, params: Mapping[str, Any], ip: str) -> HolderType:
        """Whose websocket API request it is: the key and the signature are among its parameters."""
        key = str(params.get("apiKey") or "")
        if not key:
            raise Refusal(-1102, "apiKey")
        account = self._owner(key, ip)
        if security is Security.SIGNED:
            self._check_time(account, Params.from_json(params))
            check_signed_params(account, params)
        return account

    def _owner(self, key: str, ip: str) -> HolderType:
        account = self._by_key.get(key)
        if account is None:
            raise check_form_of_key(key, ip)
        return account

    def _check_time(self, account: HolderType, params: Params) -> None:
        skew = self.misbehaviour.skew_ms(account.name)
        check_time(params.integer("timestamp"), params.integer("recvWindow"), self.now_ms() - skew)

    async def act(
        self, act: Callable[[Desk, Call[HolderType]], Any], params: Params, account: HolderType | None, *, trades: bool
    ) -> Any:
        """Carry a request out. Raises `Refusal`, and `Cut` where it is to get no answer."""
        call = Call(params, account)
        if trades and account is not None:
            return await self.misbehaviour.trade(account.name, lambda: act(self.desk, call))
        return act(self.desk, call)
