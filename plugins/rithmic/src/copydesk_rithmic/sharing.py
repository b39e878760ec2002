"""The logins of one event loop: connections of one user, a parent's and its children's, are one login."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from copydesk.model import Instrument

from copydesk_rithmic.gate import Gate
from copydesk_rithmic.login import Login


class _Pool:
    """The logins of one event loop, and the instruments of each system."""

    def __init__(self) -> None:
        self.logins: dict[Gate, Login] = {}
        self.locks: dict[Gate, asyncio.Lock] = {}
        self.catalogues: dict[tuple[str, str], dict[str, Instrument]] = {}


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()


async def share(gate: Gate) -> Login:
    """The login, opened on first use. `release` it when done. Raises as `Login.open` does."""
    pool = _pools.setdefault(asyncio.get_running_loop(), _Pool())
    async with pool.locks.setdefault(gate, asyncio.Lock()):
        login = pool.logins.get(gate)
        if login is None or login.failure.done():
            login = Login(gate, pool.catalogues.setdefault((gate.url, gate.system), {}))
            try:
                await login.open()
            except BaseException:
                await login.close()
                raise
            pool.logins[gate] = login
        login.users += 1
        return login


async def release(login: Login) -> None:
    """One connection fewer; the last one ends the login."""
    login.users -= 1
    if login.users > 0:
        return
    pool = _pools.get(asyncio.get_running_loop())
    if pool is not None and pool.logins.get(login.gate) is login:
        del pool.logins[login.gate]
        pool.locks.pop(login.gate, None)
    await login.close()
