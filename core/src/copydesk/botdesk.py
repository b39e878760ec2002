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
from copydesk.errors import UsageError

if TYPE_CHECKING:
    from copydesk.client import ControlClient
    from copydesk.feasibility import Preview
    from copydesk.plans import StartOrder, StartPlan, StopOrder, StopPlan

_RUN_FIRST = "so start one with `copydesk run`"


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
    def preview(self, name: str, last: int) -> Preview: ...
    def start_sends(self, name: str, order: StartOrder) -> bool: ...
    def plan_start(self, name: str, order: StartOrder) -> StartPlan: ...
    def start(self, name: str, order: StartOrder) -> None: ...
    def stop_sends(self, name: str, order: StopOrder) -> bool: ...
    def plan_stop(self, name: str, order: StopOrder) -> StopPlan: ...
    def stop(self, name: str, order: StopOrder) -> None: ...


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

    def preview(self, name: str, last: int) -> Preview:
        raise UsageError(f"no engine runs: a preview is made from what the venue tells, {_RUN_FIRST}")

    def start_sends(self, name: str, order: StartOrder) -> bool:
        return False

    def plan_start(self, name: str, order: StartOrder) -> StartPlan:
        raise UsageError(f"no engine runs: the plan of a start is made from what the venue tells, {_RUN_FIRST}")

    def start(self, name: str, order: StartOrder) -> None:
        """Takes effect with the next run. Only a start that sends nothing can wait for that."""
        policy = order.policy or self._store.get(name).start.policy
        if policy != "ignore":
            raise UsageError(f"no engine runs: a start under {policy!r} may send something, {_RUN_FIRST} and see its plan")
        with self._locked() as store:
            store.set_working(name, True)

    def stop_sends(self, name: str, order: StopOrder) -> bool:
        return False

    def plan_stop(self, name: str, order: StopOrder) -> StopPlan:
        raise UsageError(f"no engine runs: the plan of a stop is made from what the venue tells, {_RUN_FIRST}")

    def stop(self, name: str, order: StopOrder) -> None:
        """Takes effect with the next run, which then leaves everything as it is."""
        policy = order.policy or self._store.get(name).stop
        if policy != "leave":
            raise UsageError(f"no engine runs: a stop under {policy!r} needs one, {_RUN_FIRST}; or give --policy leave")
        with self._locked() as store:
            store.set_working(name, False)

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

    def preview(self, name: str, last: int) -> Preview:
        return self._client.preview(name, last)

    def start_sends(self, name: str, order: StartOrder) -> bool:
        bot = self.get(name)
        return (order.policy or bot.start.policy) != "ignore" or any(child.leverage != "leave" for child in bot.children)

    def plan_start(self, name: str, order: StartOrder) -> StartPlan:
        return self._client.plan_start(name, order)

    def start(self, name: str, order: StartOrder) -> None:
        self._client.start_bot(name, order)

    def stop_sends(self, name: str, order: StopOrder) -> bool:
        return (order.policy or self.get(name).stop) != "leave"

    def plan_stop(self, name: str, order: StopOrder) -> StopPlan:
        return self._client.plan_stop(name, order)

    def stop(self, name: str, order: StopOrder) -> None:
        self._client.stop_bot(name, order)


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
