"""Signed requests, as ccxt signs them, in a third of the time.

How a request is signed is ccxt's to know. Of each shape of request (method, path, names of parameters) the first one is
signed by ccxt, and what it made is taken apart: what stands before and behind the parameters stays, and the signature has
to be the one that is computed here. Later requests of that shape are put together from the parts. Whatever does not come
apart so, or has a value that would need quoting, is signed by ccxt each time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, NamedTuple

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
"""Values that mean themselves in a query."""
_SIGNED = re.compile(r"timestamp=(\d+)&(.*?)((?:&recvWindow=\d+)?)&signature=([0-9a-f]{64})").fullmatch

_Shape = tuple[str, ...]


class _Parts(NamedTuple):
    """A request without its parameters. `in_body`: they go into the body, else into the address."""

    url: str
    headers: dict[str, str]
    tail: str
    in_body: bool


class Signing:
    """Signs for one account. `client` is ccxt's, with the account's key and secret in it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._hash = hmac.new(client.secret.encode(), digestmod=hashlib.sha256)
        self._known: dict[_Shape, _Parts | None] = {}

    def sign(self, method: str, path: str, params: dict[str, str], version: str = "") -> dict[str, Any]:
        """What ccxt's `sign` returns: `url`, `method`, `body`, `headers`."""
        shape = (method, path, version, *params)
        parts = self._known.get(shape)
        if parts is None or not _PLAIN("".join(params.values())):
            signed: dict[str, Any] = self._client.sign(path, [f"fapiPrivate{version}"], method, dict(params))
            if shape not in self._known:
                self._known[shape] = self._take_apart(signed, params)
            return signed
        query = f"timestamp={self._client.nonce()}&{_join(params)}{parts.tail}"
        query = f"{query}&signature={self._signature(query)}"
        if parts.in_body:
            return {"url": parts.url, "method": method, "body": query, "headers": parts.headers}
        return {"url": f"{parts.url}?{query}", "method": method, "body": None, "headers": parts.headers}

    def _take_apart(self, signed: dict[str, Any], params: dict[str, str]) -> _Parts | None:
        in_body = bool(signed["body"])
        url, _, query = signed["url"].partition("?")
        found = _SIGNED(signed["body"] if in_body else query)
        if found is None or (in_body and query) or not params:
            return None
        time_stamp, middle, tail, signature = found.groups()
        if middle != _join(params) or signature != self._signature(f"timestamp={time_stamp}&{middle}{tail}"):
            return None
        return _Parts(url, dict(signed["headers"]), tail, in_body)

    def _signature(self, text: str) -> str:
        keyed = self._hash.copy()
        keyed.update(text.encode())
        return keyed.hexdigest()


def _join(params: dict[str, str]) -> str:
    return "&".join([f"{name}={value}" for name, value in params.items()])
