"""C01 to C09: what the plugin says of itself, logging in, and its errors."""

from __future__ import annotations

import sys
from asyncio.subprocess import PIPE, create_subprocess_exec

import pytest

from copydesk.errors import AuthFailed, CopydeskError, NotReady
from copydesk.hookspecs import API
from copydesk.model import ConnectionSettings, Contract, OrderType
from copydesk.plugins import installed_kinds
from copydesk.testing.bench import Bench

NEEDED_ID_LENGTH = 29


class Connecting:
    """Logging in."""

    async def test_c01_description_is_consistent(self, bench: Bench) -> None:
        """describe: this API, the kind, order types with market and limit, and amendable ones among them."""
        description = bench.rig.plugin.describe()
        assert description.api == API
        assert description == bench.rig.plugin.describe(), "describe says the same each time"
        assert bench.rig.kind in [info.kind for info in description.kinds]
        can = bench.capabilities
        assert {OrderType.MARKET, OrderType.LIMIT} <= can.order_types
        assert can.amend <= can.order_types, "amend names types that order_types lacks"
        assert not can.client_id_text or can.client_id_length >= NEEDED_ID_LENGTH
        assert can.orders_per_second >= 0
        assert can.requests_per_minute >= 0

    async def test_c02_login_fields_are_described(self, bench: Bench) -> None:
        """Every setting that a login takes is a field of describe, and the secret ones are marked."""
        settings = bench.rig.settings()
        fields = {field.name: field for field in bench.info.fields}
        assert settings.options.keys() <= fields.keys(), "an option is not described"
        assert settings.secrets.keys() <= fields.keys(), "a secret is not described"
        assert all(fields[name].secret for name in settings.secrets), "a secret field is not marked as secret"
        assert not any(fields[name].secret for name in settings.options), "a plain option is marked as secret"
        needed = {name for name, field in fields.items() if field.required}
        assert needed <= settings.options.keys() | settings.secrets.keys()

    async def test_c03_listing_imports_no_venue_library(self, bench: Bench) -> None:
        """Importing the plugin and asking describe imports no library of the venue."""
        kind, libraries = bench.rig.kind, list(bench.rig.libraries)
        if not libraries:
            bench.lacks("the rig names no venue library")
        entry = installed_kinds().get(kind)
        if entry is None or entry.load() is not bench.rig.plugin:
            bench.lacks("the plugin under test is not the one that is installed for its kind")
        code = (
            f"import sys; from copydesk.plugins import describe_kind; describe_kind({kind!r}); "
            f"print([name for name in {libraries!r} if name in sys.modules])"
        )
        process = await create_subprocess_exec(sys.executable, "-c", code, stdout=PIPE, stderr=PIPE)
        told, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        assert told.decode().strip() == "[]"

    async def test_c04_wrong_key_is_auth_failed(self, bench: Bench) -> None:
        """A login that the venue refuses raises AuthFailed."""
        with pytest.raises(AuthFailed) as raised:
            await bench.open(settings=bench.rig.wrong_settings())
        assert str(raised.value)

    async def test_c05_missing_key_is_auth_failed(self, bench: Bench) -> None:
        """A login without its secrets raises AuthFailed, and nothing else."""
        right = bench.rig.settings()
        bench.needs(right.secrets, "a login without secrets")
        with pytest.raises(AuthFailed) as raised:
            await bench.open(settings=ConnectionSettings(name="bare", kind=right.kind, options=right.options))
        assert str(raised.value)

    async def test_c06_unreachable_is_not_ready(self, bench: Bench) -> None:
        """An address where nobody answers raises NotReady."""
        with pytest.raises(NotReady) as raised:
            await bench.open(settings=bench.rig.unreachable_settings())
        assert str(raised.value)

    async def test_c07_instruments_have_rules(self, bench: Bench) -> None:
        """The session has its instruments by their own symbols, each with a tick and a step, all numbers exact."""
        venue = await bench.open()
        assert venue.instruments
        for symbol, instrument in venue.instruments.items():
            assert instrument.symbol == symbol
            assert instrument.price_tick > 0, f"{symbol} has no tick"
            assert instrument.quantity_step > 0, f"{symbol} has no step"
            assert instrument.contract_size > 0
            assert instrument.contract in Contract
            assert instrument.settle, f"{symbol} has no settle currency"

    async def test_c08_accounts_are_named(self, bench: Bench) -> None:
        """The session names its accounts: one without a name where a login has one account."""
        venue = await bench.open()
        assert venue.accounts
        assert len(set(venue.accounts)) == len(venue.accounts)
        if bench.capabilities.one_account_per_connection:
            assert venue.accounts == ("",)

    async def test_c09_no_secret_is_told(self, bench: Bench) -> None:
        """No secret stands in a repr, a log line or an error, with a right login and with a wrong one."""
        right, wrong = bench.rig.settings(), bench.rig.wrong_settings()
        odd = {name: secret[: len(secret) // 2] + "5ecret" for name, secret in right.secrets.items()}
        texts = []
        for settings in (wrong, ConnectionSettings(name="odd", kind=right.kind, options=right.options, secrets=odd)):
            try:
                await bench.open(settings=settings)
            except CopydeskError as error:
                texts += [str(error), repr(error), repr(error.__cause__)]
        venue, listener = await bench.both()
        await bench.place(venue, bench.terms())
        await bench.snapshot(venue)
        session = venue._session
        texts += [repr(session), str(session), repr(listener.events), *bench.log.lines]
        hidden = [*right.secrets.values(), *odd.values()]
        leaks = [text for text in texts for secret in hidden if secret and secret in text]
        assert not leaks, f"a secret is told: {leaks}"
