"""Where a command changes bots: at the engine that runs on the data folder, else in `bots.toml` under the folder's lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from copydesk.bots import BotStore, pick
from copydesk.config import BotSettings, Config, load_config
from copydesk.connections import check_bot_accounts
from copydesk.datafolder import lock_folder, read_control

if TYPE_CHECKING:
    from copydesk.client import ControlClient


class BotDesk(Protocol):
    """The bots of one data folder. Each call raises `UsageError` (a subclass says which) and then has changed nothing."""

    when: str
    """What to add to "started" and "stopped": nothing, or that it takes effect with the next run."""

    def bots(self) -> Sequence[BotSettings]: ...
    def get(self, name: str) -> BotSettings: ...
    def check_names(self, names: Sequence[str]) -> None: ...
    def add(self, bot: BotSettings) -> None: ...
    def change(self, name: str, bot: BotSettings) -> None: ...
    def remove(self, name: str) -> None: ...
    def set_working(self, name: str, working: bool) -> None: ...


class StoredDesk:
    """Bots in `bots.toml` while no engine runs."""

    when = "; no engine runs now, it takes effect with the next `copydesk run`"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = BotStore.load(folder)

    def bots(self) -> Sequence[BotSettings]:
        return list(self._store.bots.values())

    def get(self, name: str) -> BotSettings:
        return self._store.get(name)

    def check_names(self, names: Sequence[str]) -> None:
        for name in names:
            self._store.get(name)

    def add(self, bot: BotSettings) -> None:
        with self._locked() as store:
            store.add(bot, self._config_for(bot))

    def change(self, name: str, bot: BotSettings) -> None:
        with self._locked() as store:
            store.change(name, bot, self._config_for(bot))

    def remove(self, name: str) -> None:
        with self._locked() as store:
            store.remove(name)

    def set_working(self, name: str, working: bool) -> None:
        with self._locked() as store:
            store.set_working(name, working)

    @contextmanager
    def _locked(self) -> Iterator[BotStore]:
        """What is stored at this moment, and nobody else's to change."""
        with lock_folder(self._folder):
            self._store = BotStore.load(self._folder)
            yield self._store

    def _config_for(self, bot: BotSettings) -> Config:
        """The configuration, after the bot was checked against it. Raises `UsageError`."""
        config = load_config(self._folder)
        check_bot_accounts(bot, config)
        return config


class EngineDesk:
    """The bots of the engine that runs, through its control API."""

    when = ""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def bots(self) -> Sequence[BotSettings]:
        return self._client.bots()

    def get(self, name: str) -> BotSettings:
        return pick(name, {bot.name: bot for bot in self._client.bots()})

    def check_names(self, names: Sequence[str]) -> None:
        bots = {bot.name: bot for bot in self._client.bots()}
        for name in names:
            pick(name, bots)

    def add(self, bot: BotSettings) -> None:
        self._client.add_bot(bot)

    def change(self, name: str, bot: BotSettings) -> None:
        self._client.change_bot(name, bot)

    def remove(self, name: str) -> None:
        self._client.remove_bot(name)

    def set_working(self, name: str, working: bool) -> None:
        if working:
            self._client.start_bot(name)
        else:
            self._client.stop_bot(name)


@contextmanager
def open_desk(folder: Path) -> Iterator[BotDesk]:
    """The bots of the folder, wherever they are changed now."""
    control = read_control(folder)
    if control is None:
        yield StoredDesk(folder)
        return
    from copydesk.client import ControlClient  # costs a quarter of a second, and only where an engine runs

    with ControlClient(control.url, control.token) as client:
        yield EngineDesk(client)
