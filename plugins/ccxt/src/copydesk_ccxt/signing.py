"""Signed requests, as ccxt signs them, in a fraction of the time.

How a request looks and is signed is ccxt's to know. Of each shape of request (method, path, names of parameters) ccxt is
shown one with marked values in place of the parameters, the time stamp and the signature; where the marks turn up is where
those go. What is then put together for the first real request of the shape has to be, byte for byte, what ccxt makes of it.
Later requests of that shape are put together from the parts. Whatever does not come out so, or has a value that would need
quoting, is signed by ccxt each time.
"""

from __future__ import annotations

import copy
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
"""Values that mean themselves in a query and in JSON."""
_PLAIN_IN_JSON = re.compile(r"[ !#-\[\]-~]*")
_STAMP = 7_301_946_528_310_001
_SIGNATURE = "qZsignature8xWv"
_TEXT = "qZtext8xWv"
_MARK = re.compile(r"73019465283\d{5}|qZ[a-z]+8xWv|qZ\d{4}8xWv")
_CLOCKS = ("milliseconds", "microseconds", "seconds", "nonce")

Params = Mapping[str, Any]


class _Unfit(Exception):
    """The request cannot be put together from parts."""


class _Template(NamedTuple):
    """A text with slots. `slots` are positions in the values that `fill` is given."""

    text: str
    slots: tuple[int, ...]

    def fill(self, values: tuple[Any, ...]) -> str:
        return self.text % tuple([values[slot] for slot in self.slots])


class _Parts(NamedTuple):
    """A request taken apart. What goes into slots: the parameters, the time stamp; then the signed text, the signature."""

    signed: _Template
    url: _Template
    body: _Template | None
    headers: tuple[tuple[str, _Template], ...]
    plain_headers: dict[str, str]
    keyed: hmac.HMAC
    plain: re.Pattern[str]
    """Which texts may be filled in without quoting."""


class Signing:
    """Signs for one account. `client` is ccxt's, with the account's key and secret in it; `stamp_method` is the one that
    its `sign` asks for the time stamp or nonce."""

    def __init__(self, client: Any, *, stamp_method: str = "nonce") -> None:
        self._client = client
        self._stamp_method = stamp_method
        self._known: dict[tuple[Any, ...], _Parts | None] = {}

    def sign(self, method: str, path: str, api: Sequence[str], params: Params) -> dict[str, Any]:
        """What ccxt's `sign(path, api, method, params)` returns: `url`, `method`, `body`, `headers`.

        Texts and whole numbers among the parameters may be others each time; anything else belongs to the shape.
        """
        shape = (method, path, *api, *params, *map(_form, params.values()))
        parts = self._known.get(shape)
        if parts is not None and parts.plain.fullmatch(_texts(params)):
            return _put_together(parts, method, params, self._clock())
        if shape in self._known:
            return self._as_ccxt(self._client, method, path, api, params)
        return self._learn(shape, method, path, api, params)

    def _clock(self) -> int:
        stamp: int = getattr(self._client, self._stamp_method)()
        return stamp

    def _learn(self, shape: tuple[Any, ...], method: str, path: str, api: Sequence[str], params: Params) -> dict[str, Any]:
        stamp = self._clock()
        client = copy.copy(self._client)
        setattr(client, self._stamp_method, lambda: stamp)
        signed = self._as_ccxt(client, method, path, api, params)
        try:
            parts = self._take_apart(method, path, api, params)
        except _Unfit:
            self._known[shape] = None
            return signed
        if parts.plain.fullmatch(_texts(params)):
            self._known[shape] = parts if _put_together(parts, method, params, stamp) == signed else None
        return signed

    @staticmethod
    def _as_ccxt(client: Any, method: str, path: str, api: Sequence[str], params: Params) -> dict[str, Any]:
        signed: dict[str, Any] = client.sign(path, api, method, dict(params))
        return signed

    def _take_apart(self, method: str, path: str, api: Sequence[str], params: Params) -> _Parts:
        """Show ccxt a request of marks. Raises `_Unfit` where it signs in another way than by one keyed hash in hex."""
        marked = {name: _mark(number, value) for number, (name, value) in enumerate(params.items())}
        marks = {str(mark): number for number, mark in enumerate(marked.values())}
        hashed: list[tuple[bytes, bytes, Any]] = []

        def hash_(text: bytes, secret: bytes, algorithm: Any, digest: str = "hex") -> str:
            if digest != "hex":
                raise _Unfit
            hashed.append((text, secret, algorithm))
            return _SIGNATURE

        client = copy.copy(self._client)
        client.hmac = hash_
        for clock in _CLOCKS:  # time that comes from elsewhere would stay as it is now
            setattr(client, clock, _refuse)
        setattr(client, self._stamp_method, lambda: _STAMP)
        request = self._as_ccxt(client, method, path, api, marked)
        if len(hashed) != 1 or not hashed[0][0]:
            raise _Unfit
        text, secret, algorithm = hashed[0]
        count = len(params)
        slots = marks | {str(_STAMP): count, _TEXT: count + 1, _SIGNATURE: count + 2}
        whole, url, body = text.decode(), request["url"], request["body"]
        in_json = body is not None and body.startswith("{") and not _MARK.search(url)
        headers = {name: str(value) for name, value in (request["headers"] or {}).items()}
        varying = {name: value for name, value in headers.items() if _MARK.search(value)}
        return _Parts(
            signed=_template(whole, slots),
            url=_template(url.replace(whole, _TEXT), slots),
            body=None if body is None else _template(body.replace(whole, _TEXT), slots),
            headers=tuple((name, _template(value, slots)) for name, value in varying.items()),
            plain_headers=headers,
            keyed=hmac.new(secret, digestmod=algorithm),
            plain=_PLAIN_IN_JSON if in_json else _PLAIN,
        )


def _refuse(*_: Any) -> Any:
    raise _Unfit


def _form(value: Any) -> Any:
    """What of a parameter's value belongs to the shape of the request."""
    type_ = type(value)
    return type_ if type_ is str or type_ is int else json.dumps(value)


def _texts(params: Params) -> str:
    return "".join([value for value in params.values() if isinstance(value, str)])


def _mark(number: int, value: Any) -> Any:
    form = _form(value)
    if form is str:
        return f"qZ{number:04d}8xWv"
    return 7_301_946_528_320_000 + number if form is int else value


def _template(text: str, slots: Mapping[str, int]) -> _Template:
    found = _MARK.findall(text)
    if any(mark not in slots for mark in found):
        raise _Unfit
    written = "%s".join(part.replace("%", "%%") for part in _MARK.split(text))
    return _Template(written, tuple(slots[mark] for mark in found))


def _put_together(parts: _Parts, method: str, params: Params, stamp: int) -> dict[str, Any]:
    values: tuple[Any, ...] = (*params.values(), stamp)
    text = parts.signed.fill(values)
    keyed = parts.keyed.copy()
    keyed.update(text.encode())
    values = (*values, text, keyed.hexdigest())
    headers = parts.plain_headers
    if parts.headers:
        headers = headers | {name: template.fill(values) for name, template in parts.headers}
    return {
        "url": parts.url.fill(values),
        "method": method,
        "body": None if parts.body is None else parts.body.fill(values),
        "headers": headers,
    }
