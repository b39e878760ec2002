"""The stored bots: `bots.toml`, written by the program as a whole and atomically; people may read it.

Every change is checked in full before a byte is written; where a check fails, what is stored stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from copydesk.config import BotSettings, Config, describe_problem, read_toml
from copydesk.datafolder import make_folder, write_atomically
from copydesk.errors import ConfigError, Conflict, UnknownName, UsageError
from copydesk.families import check_family
from copydesk.tomlwriting import to_toml

BOTS_NAME = "bots.toml"
VERSION = 1
_HEADER = (
    "# Written by copydesk. To change bots use `copydesk bots` or the panel; changes made here by hand may be lost.\n\n"
)


class BotStore:
    """All bots by name, in the order in which they were added."""

    def __init__(self, path: Path, bots: dict[str, BotSettings]) -> None:
        self._path = path
        self.bots = bots

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `bots.toml`; no file means no bots. Raises `ConfigError`."""
        path = folder / BOTS_NAME
        if not path.exists():
            return cls(path, {})
        table, _ = read_toml(path)
        if table.get("version") != VERSION or not isinstance(table.get("bots", []), list):
            raise ConfigError(f"{path} does not have the layout that this copydesk reads: use the version that wrote it")
        bots: dict[str, BotSettings] = {}
        for entry in table.get("bots", []):
            name = entry.get("name", "") if isinstance(entry, dict) else ""
            try:
                bot = BotSettings.model_validate(entry)
            except ValidationError as error:
                raise ConfigError(f"{path}: bot {name!r}: {describe_problem(error)}") from None
            if bot.name in bots:
                raise ConfigError(f"{path}: two bots are named {bot.name!r}: rename one")
            bots[bot.name] = bot
        return cls(path, bots)

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self._path.parent

    def get(self, name: str) -> BotSettings:
        """Raises `UnknownName`."""
        return pick(name, self.bots)

    def others(self, name: str) -> list[BotSettings]:
        """All bots but that one."""
        return [bot for bot in self.bots.values() if bot.name != name]

    def add(self, bot: BotSettings, config: Config) -> None:
        """Raises `Conflict`, or `UsageError` where its accounts do not fit the configuration or those of other bots."""
        if bot.name in self.bots:
            raise Conflict(
                f"a bot {bot.name!r} is there already: choose another name, or change it with `copydesk bots settings`"
            )
        check_accounts(bot, config)
        check_family(bot, self.others(bot.name))
        self._store({**self.bots, bot.name: bot})

    def change(self, name: str, bot: BotSettings, config: Config) -> None:
        """Replace the bot's settings, name included; its place and its status stay. Raises as `get` and `add` do."""
        before = self.get(name)
        if bot.name != name and bot.name in self.bots:
            raise Conflict(f"a bot {bot.name!r} is there already: choose another name")
        check_accounts(bot, config)
        check_family(bot, self.others(name))
        bot = bot.model_copy(update={"working": before.working})
        self._store({(bot.name if key == name else key): (bot if key == name else old) for key, old in self.bots.items()})

    def remove(self, name: str) -> None:
        """Raises `UnknownName`."""
        self.get(name)
        self._store({key: bot for key, bot in self.bots.items() if key != name})

    def set_working(self, name: str, working: bool) -> None:
        """Store the bot's status. Raises `UnknownName`."""
        bot = self.get(name)
        if bot.working != working:
            self._store({**self.bots, name: bot.model_copy(update={"working": working})})

    def _store(self, bots: dict[str, BotSettings]) -> None:
        entries = [_plain(bot.model_dump(exclude_none=True)) for bot in bots.values()]
        text = _HEADER + to_toml({"version": VERSION, "bots": entries})
        make_folder(self._path.parent)
        write_atomically(self._path, text.encode())
        self.bots = bots


def pick(name: str, bots: Mapping[str, BotSettings]) -> BotSettings:
    """The bot of that name. Raises `UnknownName`, with the names that there are."""
    if name not in bots:
        there = ", ".join(sorted(bots)) or "none yet"
        raise UnknownName(f"there is no bot {name!r}: see `copydesk bots list` (there: {there})")
    return bots[name]


def check_accounts(bot: BotSettings, config: Config) -> None:
    """Raises `UsageError` unless all connections are configured and of one kind."""
    kind = config.kind_of(bot.parent)
    for child in bot.children:
        other = config.kind_of(child.account)
        if other != kind:
            raise UsageError(
                f"bot {bot.name!r} would copy from {bot.parent!r} ({kind}) to {child.account!r} ({other}): "
                "parent and children must be of one connection kind"
            )


def _plain(value: Any) -> Any:
    """Decimals as text, exactly; tuples as lists."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, Decimal) else value
