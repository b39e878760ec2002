"""Finding and loading venue plugins: one distribution per venue, found through the entry-point group `copydesk.venues`.

Names are listed without importing anything. A plugin is imported when its kind is wanted, and checked before its first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import pluggy

from copydesk.errors import PluginError, UnknownKind
from copydesk.hookspecs import API, ENTRY_POINT_GROUP, PROJECT, REQUIRED, VenueSpec
from copydesk.model import Description, KindInfo

DISTRIBUTIONS = {
    "binance": "copydesk-binance",
    "binance-futures": "copydesk-binance",
    "bitfinex": "copydesk-bitfinex",
    "bitmex": "copydesk-bitmex",
    "bybit": "copydesk-bybit",
    "ftx": "copydesk-ftx",
    "ib": "copydesk-ib",
    "paper": "copydesk-paper",
    "rithmic": "copydesk-rithmic",
}
"""The kinds of the project's own plugins, and what to install for each. Anybody's plugin may offer more."""


def installed_kinds() -> dict[str, EntryPoint]:
    """Installed kinds by name, sorted, nothing imported. Raises `PluginError` where two distributions offer one kind."""
    kinds: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        other = kinds.setdefault(entry.name, entry)
        if other.value != entry.value:
            names = f"{distribution_of(other)} and {distribution_of(entry)}"
            raise PluginError(f"both {names} offer the connection kind {entry.name!r}: uninstall one of them")
    return kinds


def find_kind(kind: str) -> EntryPoint:
    """The plugin that offers the kind, not imported. Raises `UnknownKind` with what to install."""
    kinds = installed_kinds()
    if kind in kinds:
        return kinds[kind]
    if kind in DISTRIBUTIONS:
        if DISTRIBUTIONS[kind] in {distribution_of(entry) for entry in kinds.values()}:
            raise UnknownKind(
                f"unknown connection kind {kind!r}: the installed {DISTRIBUTIONS[kind]} does not offer it; "
                f"upgrade it, or use one of {', '.join(kinds)}"
            )
        raise UnknownKind(f"unknown connection kind {kind!r}: pip install {DISTRIBUTIONS[kind]}")
    there = ", ".join(sorted({*kinds, *DISTRIBUTIONS}))
    raise UnknownKind(f"unknown connection kind {kind!r}: the kinds are {there}, or install the plugin that offers it")


@dataclass(frozen=True)
class Loaded:
    """A plugin that was found, imported and checked for one kind. A hundred connections need that once."""

    plugin: object
    name: str
    info: KindInfo

    def manager(self) -> pluggy.PluginManager:
        """A manager of its own, with this one plugin in it."""
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(VenueSpec)
        manager.register(self.plugin, self.name)
        return manager


def load_kind(kind: str) -> Loaded:
    """Find the kind's plugin, import and check it. Raises `UnknownKind` or `PluginError`."""
    manager = load_plugin(kind)
    (plugin,) = manager.get_plugins()
    name = manager.get_name(plugin) or ""
    return Loaded(plugin, name, kind_info(manager, kind, name))


def load_plugin(kind: str) -> pluggy.PluginManager:
    """Import the kind's plugin into a manager of its own and check it. Raises `UnknownKind` or `PluginError`."""
    entry = find_kind(kind)
    name = distribution_of(entry)
    try:
        plugin = entry.load()
    except Exception as error:  # a plugin's own code, at the border to ours
        raise PluginError(f"the plugin {name} cannot be imported: {type(error).__name__}: {error}; reinstall it") from error
    return check_plugin(plugin, kind, name)


def check_plugin(plugin: object, kind: str, name: str) -> pluggy.PluginManager:
    """A manager with this one plugin in it, a module or an object.

    Raises `PluginError` unless it fits the hook specifications.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(VenueSpec)
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        reason = " ".join(str(error).split())
        raise PluginError(
            f"the plugin {name} does not fit copydesk's hooks: {reason}; upgrade it, or tell its author"
        ) from None
    missing = [hook for hook in REQUIRED if not getattr(manager.hook, hook).get_hookimpls()]
    if missing:
        hooks = ", ".join(missing)
        raise PluginError(f"the plugin {name} lacks what every plugin must have: {hooks}; upgrade it, or tell its author")
    kind_info(manager, kind, name)
    return manager


def describe_kind(kind: str) -> KindInfo:
    """What the kind's plugin says of it. Raises `UnknownKind` or `PluginError`."""
    return kind_info(load_plugin(kind), kind, distribution_of(find_kind(kind)))


def kind_info(manager: pluggy.PluginManager, kind: str, name: str) -> KindInfo:
    """Ask the loaded plugin `name` for one kind. Raises `PluginError` where its description does not fit."""
    try:
        description = manager.hook.describe()
    except Exception as error:  # a plugin's own code, at the border to ours
        raise PluginError(f"the plugin {name} failed to describe itself: {type(error).__name__}: {error}") from error
    if not isinstance(description, Description):
        raise PluginError(f"the plugin {name} describes itself with a {type(description).__name__}, not a Description")
    if description.api != API:
        which = "the plugin" if description.api < API else "copydesk"
        raise PluginError(
            f"the plugin {name} is written for hook API {description.api}, this copydesk has {API}: upgrade {which}"
        )
    for info in description.kinds:
        if info.kind == kind:
            if info.capabilities.native_oco and not manager.hook.place_group.get_hookimpls():
                raise PluginError(
                    f"the plugin {name} says that {kind} has native_oco, but lacks place_group: tell its author"
                )
            return info
    raise PluginError(f"the plugin {name} is registered for the kind {kind!r} but does not offer it: tell its author")


def distribution_of(entry: EntryPoint) -> str:
    """The distribution that an entry point comes from, as one would install it."""
    return entry.dist.name if entry.dist else entry.value
