"""`copydesk.hooks.Plugin`: which hooks there are, and where they lead."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from copydesk.errors import PluginError
from copydesk.hooks import Plugin
from copydesk.hookspecs import OPTIONAL, REQUIRED, VenuePlugin
from copydesk.model import Capabilities, ConnectionSettings, KindInfo, RehearsalSettings
from copydesk.plugins import check_plugin
from copydesk.venue import open_venue

SETTINGS = ConnectionSettings(name="one", kind="toy")
METHODS = ("subscribe", "place", "modify", "cancel", "snapshot", "close")


class Recorded:
    """A session that answers each method with the method's name and what it was given."""

    accounts = ("",)

    def __init__(self, *methods: str) -> None:
        self.instruments: dict[str, Any] = {}
        self.closed = False
        special = {"subscribe": self._subscribe, "close": self._close}
        for name in methods:
            setattr(self, name, special.get(name) or self._method(name))

    def _method(self, name: str) -> Callable[..., Any]:
        async def answer(*given: Any) -> tuple[Any, ...]:
            return (name, *given)

        return answer

    def _subscribe(self, wanted: Any) -> Iterator[Any]:
        return iter(("subscribe", wanted))

    async def _close(self) -> None:
        self.closed = True


def plugin_of(*methods: str, oco: bool = False, **more: Any) -> Plugin:
    async def connect(settings: ConnectionSettings) -> Any:
        return Recorded(*methods)

    info = KindInfo(kind="toy", title="Toy venue", capabilities=Capabilities(native_oco=oco))
    return Plugin("copydesk", info, **{"connect": connect} | more)  # a distribution that is there: its version is told


def hooks_of(plugin: VenuePlugin) -> set[str]:
    manager = check_plugin(plugin, "toy", "copydesk-toy")
    return {name for name in (*REQUIRED, *OPTIONAL) if getattr(manager.hook, name).get_hookimpls()}


@pytest.mark.parametrize(
    ("made_with", "hook"),
    [
        ({"oco": True}, "place_group"),
        ({"leverage": True}, "set_leverage"),
        ({"candles": True}, "candles"),
        ({"rehearse": "toy_rehearsal:start"}, "rehearse"),
    ],
)
def test_an_optional_hook_is_there_only_where_the_plugin_was_made_with_it(made_with: dict[str, Any], hook: str) -> None:
    assert hooks_of(plugin_of()) == set(REQUIRED)
    assert hooks_of(plugin_of(**made_with)) == {*REQUIRED, hook}


async def test_each_hook_is_the_method_of_its_name() -> None:
    plugin = plugin_of(*METHODS, "place_group", "set_leverage", "candles", oco=True, leverage=True, candles=True)
    hook = check_plugin(plugin, "toy", "copydesk-toy").hook
    session = await hook.connect(settings=SETTINGS)
    assert tuple(hook.subscribe(session=session, subscription="wanted")) == ("subscribe", "wanted")
    for name, parameter in {
        "place": "order",
        "place_group": "group",
        "modify": "change",
        "cancel": "order",
        "set_leverage": "change",
        "snapshot": "request",
        "candles": "request",
    }.items():
        record = object()
        assert await getattr(hook, name)(session=session, **{parameter: record}) == (name, record)
    await hook.close(session=session)
    assert session.closed


async def test_a_session_that_lacks_a_method_is_refused_with_a_sentence() -> None:
    plugin = plugin_of("subscribe", "place", "modify", "snapshot", "close", candles=True)
    manager = check_plugin(plugin, "toy", "copydesk-toy")
    with pytest.raises(PluginError, match=r"^the plugin copydesk cannot be used: its session lacks cancel, candles; "):
        await open_venue(manager, SETTINGS)


def test_its_description_is_its_one_kind_and_its_distribution() -> None:
    plugin = plugin_of()
    told = plugin.describe()
    assert (told.api, told.name, told.kinds) == (1, "copydesk", (plugin.info,))
    assert told.version[0].isdigit()
    assert repr(plugin) == "Plugin('copydesk', 'toy')"


async def test_functions_named_by_where_they_stand_are_imported_when_they_are_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy_link.py").write_text(
        "async def connect(settings):\n    return settings.name\n\nasync def start(settings):\n    return settings.kind\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = plugin_of(connect="toy_link:connect", rehearse="toy_link:start")
    hooks_of(plugin)
    assert "toy_link" not in sys.modules
    try:
        assert await plugin.rehearse(RehearsalSettings(kind="toy", accounts={})) == "toy"
        with pytest.raises(PluginError, match="lacks subscribe"):
            await plugin.connect(SETTINGS)
    finally:
        sys.modules.pop("toy_link", None)
