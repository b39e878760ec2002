"""The hook specifications are pinned, and `docs/hooks.md` says what they are; its example plugin runs."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import AsyncExitStack, aclosing
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from copydesk import errors, hookspecs, model
from copydesk.bots import BotStore
from copydesk.client import AsyncControlClient
from copydesk.config import BotSettings, ChildSettings, Config
from copydesk.control import serve
from copydesk.engine import Engine
from copydesk.errors import UsageError
from copydesk.hookspecs import OPTIONAL, REQUIRED, VenuePlugin, VenueSpec
from copydesk.journal import Journal
from copydesk.livedesk import LiveDesk
from copydesk.model import (
    Accepted,
    ConnectionSettings,
    FillEvent,
    Gap,
    NewOrder,
    OrderEvent,
    OrderRef,
    OrderStatus,
    OrderType,
    PriceEvent,
    Record,
    Rejected,
    RejectReason,
    Side,
    SnapshotRequest,
    Subscription,
    Terms,
)
from copydesk.plugins import describe_kind, installed_kinds, load_plugin
from copydesk.secrets import SealedFile
from copydesk.venue import open_venue

REFERENCE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()

SIGNATURES = {
    "describe": "(self) -> 'Description'",
    "connect": "(self, settings: 'ConnectionSettings') -> 'Awaitable[Session]'",
    "subscribe": "(self, session: 'Session', subscription: 'Subscription') -> 'AsyncIterator[VenueEvent]'",
    "place": "(self, session: 'Session', order: 'NewOrder') -> 'Awaitable[Outcome]'",
    "modify": "(self, session: 'Session', change: 'OrderChange') -> 'Awaitable[Outcome]'",
    "cancel": "(self, session: 'Session', order: 'OrderRef') -> 'Awaitable[Outcome]'",
    "snapshot": "(self, session: 'Session', request: 'SnapshotRequest') -> 'Awaitable[Snapshot]'",
    "close": "(self, session: 'Session') -> 'Awaitable[None]'",
    "place_group": "(self, session: 'Session', group: 'OrderGroup') -> 'Awaitable[Outcome]'",
    "set_leverage": "(self, session: 'Session', change: 'LeverageChange') -> 'Awaitable[Outcome]'",
    "candles": "(self, session: 'Session', request: 'CandleRequest') -> 'Awaitable[tuple[Candle, ...]]'",
    "rehearse": "(self, settings: 'RehearsalSettings') -> 'Awaitable[RunningRehearsal]'",
}
"""Changing one of these breaks every plugin there is: then `API` grows, and this table with it."""


def live_hooks() -> dict[str, inspect.Signature]:
    """The specified hooks, in the order of the source."""
    return {
        name: inspect.signature(hook)
        for name, hook in vars(VenueSpec).items()
        if hasattr(hook, f"{hookspecs.PROJECT}_spec")
    }


def sections() -> dict[str, str]:
    """The reference's section of each hook, by its heading."""
    hooks = REFERENCE.partition("\n## Hooks\n")[2].partition("\n## Records\n")[0]
    _, *parts = re.split(r"^### `(.*)`$", hooks, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def entry(section: str, name: str) -> str:
    """One entry of a hook's list, on one line; empty where it is not there."""
    found = re.search(rf"^- \*\*{name}:\*\* (.*?)(?=^- |\n\n|\Z)", section, flags=re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""


# --- the specifications ---------------------------------------------------------------------------------------


def test_the_signatures_and_the_api_number_are_pinned():
    assert {name: str(signature) for name, signature in live_hooks().items()} == SIGNATURES
    assert hookspecs.API == 1
    assert hookspecs.PROJECT == "copydesk"
    assert hookspecs.ENTRY_POINT_GROUP == "copydesk.venues"


def test_every_hook_is_required_or_optional_and_answers_once():
    assert (*REQUIRED, *OPTIONAL) == tuple(live_hooks())
    for name in live_hooks():
        hook = getattr(VenueSpec, name)
        assert hook.copydesk_spec["firstresult"], name
        assert inspect.getdoc(hook), name


def test_the_typed_twin_says_the_same():
    for name in REQUIRED:
        twin = str(inspect.signature(getattr(VenuePlugin, name))).replace("session: 'Any'", "session: 'Session'")
        assert twin == SIGNATURES[name]


# --- the reference ----------------------------------------------------------------------------------------------


def test_the_reference_has_each_hook_and_no_other():
    headings = [f"{name}({', '.join(list(signature.parameters)[1:])})" for name, signature in live_hooks().items()]
    assert list(sections()) == headings


def test_the_reference_tells_form_parameters_and_return_of_each_hook():
    for (name, signature), section in zip(live_hooks().items(), sections().values(), strict=True):
        returns = signature.return_annotation
        form = {"Awaitable": "async", "AsyncIterator": "async iterator"}.get(returns.partition("[")[0], "sync")
        assert entry(section, "Form") == f"{form}, {'required' if name in REQUIRED else 'optional'}"
        parameters = [f"`{one.name}: {one.annotation}`" for one in list(signature.parameters.values())[1:]]
        assert entry(section, "Parameters") == ", ".join(parameters)
        assert entry(section, "Returns") == f"`{returns}`"
        assert entry(section, "Fires")
        assert entry(section, "Errors")


def test_the_reference_names_only_errors_that_exist():
    told = " ".join(entry(section, "Errors") for section in sections().values())
    names = set(re.findall(r"`(\w+)`", told)) | set(re.findall(r"^\| `(\w+)` \|", REFERENCE, flags=re.MULTILINE))
    assert "NotReady" in names
    for name in names - {"OSError"}:
        assert issubclass(getattr(errors, name), errors.CopydeskError)


def test_the_reference_has_the_api_number():
    assert f"API number **{hookspecs.API}**" in REFERENCE


# --- the records ------------------------------------------------------------------------------------------------


def reachable() -> set[type]:
    """The records and words that a plugin's author meets: whatever the hooks' parameters and results lead to."""
    found: set[type] = set()

    def visit(shape: Any) -> None:
        if isinstance(shape, type) and issubclass(shape, Record | StrEnum) and shape not in found:
            found.add(shape)
            if issubclass(shape, Record):
                for field in msgspec.structs.fields(shape):
                    visit(field.type)
        for part in get_args(shape):
            visit(part)

    for signature in live_hooks().values():
        for annotation in (signature.return_annotation, *(one.annotation for one in signature.parameters.values())):
            for name in re.findall(r"\w+", str(annotation)):
                visit(getattr(model, name, None))
    visit(model.Instrument)  # what a session carries
    visit(model.RehearsalReady)  # and a running rehearsal
    return found


def heading(shape: type) -> str:
    """How the reference writes a record's fields, or a word's values."""
    if issubclass(shape, StrEnum):
        return f"`{shape.__name__}`: " + ", ".join(f"`{word.value}`" for word in shape)
    fields = []
    for field in msgspec.structs.fields(shape):
        annotation = shape.__annotations__[field.name]
        fields.append(f"{field.name}: {annotation}{_default(field)}")
    return f"`{shape.__name__}({', '.join(fields)})`"


def _default(field: Any) -> str:
    if field.required:
        return ""
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value == frozenset(OrderType):
        return " = all"
    if isinstance(value, frozenset):
        return " = none"
    if isinstance(value, StrEnum | Decimal):
        return f" = {value}"
    return f" = {value!r}".replace("'", '"')


def test_the_reference_has_every_record_with_its_fields():
    lines = " ".join(REFERENCE.split())
    missing = [heading(shape) for shape in reachable() if heading(shape) not in lines]
    assert missing == []


def test_the_reference_has_no_record_that_is_not_there():
    told = re.findall(r"^- `(\w+)[(`]", REFERENCE.partition("\n## Records\n")[2], flags=re.MULTILINE)
    assert sorted(told) == sorted(shape.__name__ for shape in reachable())


# --- the example ------------------------------------------------------------------------------------------------


def block(language: str) -> str:
    """The one code block of a language in the reference."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", REFERENCE, flags=re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example of the reference, installed as its own `pyproject.toml` says."""
    project = tomllib.loads(block("toml"))["project"]
    ((kind, value),) = project["entry-points"][hookspecs.ENTRY_POINT_GROUP].items()
    module = value.partition(":")[0]
    site = tmp_path / "site"
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text(f"[{hookspecs.ENTRY_POINT_GROUP}]\n{kind} = {value}\n")
    source = site / f"{module}.py"
    source.write_text(block("python"))
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    yield source
    sys.modules.pop(module, None)


def test_the_example_is_found_loads_and_passes_the_checks(example: Path):
    assert "notebook" in installed_kinds()
    assert "copydesk_notebook" not in sys.modules
    manager = load_plugin("notebook")
    assert [manager.get_name(plugin) for plugin in manager.get_plugins()] == ["copydesk-notebook"]
    assert describe_kind("notebook").title == "Notebook"


def terms(kind: OrderType, quantity: str, price: str | None = None) -> Terms:
    return Terms(
        symbol="COINUSD",
        side=Side.BUY,
        type=kind,
        quantity=Decimal(quantity),
        price=Decimal(price) if price else None,
    )


async def test_the_example_trades_as_the_reference_says(example: Path):
    venue = await open_venue(load_plugin("notebook"), ConnectionSettings(name="one", kind="notebook"))
    market = NewOrder(client_id="a", terms=terms(OrderType.MARKET, "2"))
    limit = NewOrder(client_id="b", terms=terms(OrderType.LIMIT, "1", "90"))
    ref = OrderRef(symbol="COINUSD", type=OrderType.LIMIT, client_id="b")
    async with asyncio.timeout(40), aclosing(venue.subscribe(Subscription())) as events:
        assert isinstance(await anext(events), Gap)
        filled = await venue.place(market)
        assert isinstance(filled, Accepted)
        told = [await anext(events) for _ in range(3)]
        assert [type(event) for event in told] == [OrderEvent, FillEvent, OrderEvent]
        assert told[2].order == filled.order
        assert filled.order.status is OrderStatus.FILLED
        assert (await venue.place(market)).reason is RejectReason.DUPLICATE_ID
        assert isinstance(await venue.place(limit), Accepted)
        whole = await venue.snapshot(
            SnapshotRequest(look_up=(ref, OrderRef(**{**msgspec.structs.asdict(ref), "client_id": "never"})))
        )
        assert {order.client_id for order in whole.orders} == {"a", "b"}
        assert whole.absent == ("never",)
        assert whole.positions[0].quantity == 2
        assert isinstance(await venue.cancel(ref), Accepted)
        assert (await venue.cancel(ref)).reason is RejectReason.NOT_FOUND
        assert isinstance(await venue.modify(model.OrderChange(ref=ref, terms=limit.terms)), Rejected)
        async with aclosing(venue.subscribe(Subscription(private=False, symbols=("COINUSD",)))) as prices:
            assert isinstance(await anext(prices), Gap)
            assert isinstance(await anext(prices), PriceEvent)
        await venue.close()
        assert [type(event) async for event in events] == [OrderEvent, OrderEvent]


async def test_a_bot_copies_over_the_example_by_way_of_the_control_api(example: Path, tmp_path: Path):
    config = Config.model_validate({"connections": {"parent": {"kind": "notebook"}, "child": {"kind": "notebook"}}})
    child = ChildSettings(account="child", mode="multiplier", value=Decimal("0.5"))
    async with AsyncExitStack() as stack, asyncio.timeout(40):
        journal = stack.enter_context(Journal.open(tmp_path / "journal.db"))
        store = BotStore.load(tmp_path)
        engine = Engine(config, store, journal, SealedFile(tmp_path, lambda: ""))
        stack.push_async_callback(engine.stop)
        await engine.start()
        running = await serve(LiveDesk(engine, config, store), host="127.0.0.1", port=0, token="a token")
        stack.push_async_callback(running.stop)
        client = await stack.enter_async_context(AsyncControlClient(running.url, "a token"))
        events = await stack.enter_async_context(aclosing(client.stream((await client.view()).seq)))
        await client.add_bot(BotSettings(name="copy", parent="parent", children=(child,)))
        assert (await client.start_bot("copy")).working
        placed = await client.place("parent", terms(OrderType.MARKET, "2"))
        assert isinstance(placed.outcome, Accepted)
        fills = {}
        async for event in events:
            if event.kind == "fill":
                fills[event.account] = event.body.quantity
            if "child" in fills:
                break
        assert fills == {"parent": Decimal(2), "child": Decimal(1)}
        assert {key: fill.quantity for key, fill in (await client.view()).fills} == fills
        assert [instrument.symbol for instrument in await client.instruments("child")] == ["COINUSD"]
        stranger = ChildSettings(account="stranger", mode="percentage")
        with pytest.raises(UsageError, match="unknown connection 'stranger'"):
            await client.add_bot(BotSettings(name="other", parent="parent", children=(stranger,)))
        await client.stop_bot("copy")
        await client.remove_bot("copy")
        assert await client.bots() == []


@pytest.mark.slow
def test_the_example_passes_a_strict_type_check(example: Path):
    from mypy import api

    check = example.with_name("check.py")
    check.write_text(
        "from copydesk.hooks import Session\n"
        "from copydesk.hookspecs import VenuePlugin\n"
        "from copydesk_notebook import Session as Notebook, plugin\n\n"
        "checked: VenuePlugin = plugin\n"
        "session: type[Session] = Notebook\n"
    )
    cache = str(Path(__file__).parents[2] / ".mypy_cache")
    out, err, status = api.run(["--strict", "--cache-dir", cache, str(example), str(check)])
    assert status == 0, out + err
