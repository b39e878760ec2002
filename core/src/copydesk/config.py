"""What people write: `copydesk.toml`, and the settings of bots, as checked and frozen models.

Bad input gives one sentence (`ConfigError` or `UsageError`) that names the file, the place in it, and the remedy.
Amounts are `Decimal`, written in TOML as numbers or strings. Keys are never part of this file: see `copydesk.secrets`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from copydesk.errors import ConfigError, UsageError
from copydesk.filters import clock_minutes, session_of, zone_of

CONFIG_NAME = "copydesk.toml"
SMALLEST_VALUE, LARGEST_VALUE = Decimal("0.000001"), Decimal(1_000_000)
"""Between these, in amount, a multiplier or a percentage makes sense; outside it is a slip of the pen."""

_CONNECTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_BOT_NAME = re.compile(r"\w[\w .-]{0,63}")
_SECRET_WORDS = frozenset(
    {"key", "secret", "api_key", "api_secret", "apikey", "apisecret", "private_key"}
    | {"password", "passphrase", "passwd", "token", "access_token"}
)


class Settings(BaseModel):
    """Base of the models: immutable, and a name that nobody knows is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True)


# --- bots ---------------------------------------------------------------------------------------------------


class CatchUp(Settings):
    """The window in which a child may still be brought up to its parent by adding risk (invariant I7)."""

    max_age_s: Decimal = Field(default=Decimal(60), gt=0)
    max_adverse_percent: Decimal = Field(default=Decimal("0.5"), gt=0)


class _Unfilled(Settings):
    after_s: Decimal = Field(default=Decimal(2), ge=Decimal("0.1"), le=86_400)
    step_percent: Decimal = Field(default=Decimal("0.05"), gt=0, le=10)
    steps: int = Field(default=5, ge=1, le=100)


class UnfilledEntry(_Unfilled):
    """What is done `after_s` seconds after the parent's fill where the child's entry still rests (rule 6).

    `market_after` takes what is missing at `max_slippage_percent` from the parent's price at the worst; `chase` moves the
    limit every `after_s` by `step_percent` of the parent's price, `steps` times at the most.
    """

    action: Literal["wait", "market_after", "chase", "cancel_after"] = "wait"
    max_slippage_percent: Decimal = Field(default=Decimal("0.5"), gt=0, le=100)


class UnfilledExit(_Unfilled):
    """The same of an exit: `market_after` closes at market, `chase` does so once its steps are used up."""

    action: Literal["wait", "market_after", "chase"] = "market_after"

    @field_validator("action", mode="before")
    @classmethod
    def _never_dropped(cls, action: Any) -> Any:
        if action == "cancel_after":
            raise ValueError("an exit is never dropped: choose wait, market_after or chase for 'unfilled_exit'")
        return action


def _unset(value: Any) -> Any:
    """`none` takes a limit away."""
    return None if value == "none" else value


def _parted(value: Any) -> Any:
    """A list as it is written on a command line, parted by semicolons; `none` empties it."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(";") if part.strip() and value != "none")


Amount = Annotated[Decimal | None, Field(gt=0), BeforeValidator(_unset)]
Parted = Annotated[tuple[str, ...], BeforeValidator(_parted)]


class LimitSettings(Settings):
    """Risk limits of a child. What closes goes beyond all of them."""

    over: Literal["refuse", "shrink"] = "refuse"
    max_order: Amount = None
    max_order_notional: Amount = None
    max_position: Amount = None
    max_position_notional: Amount = None
    daily_loss: Amount = None
    day_starts: str = "00:00"
    time_zone: str = "UTC"
    symbols: Parted = ()
    price_band_percent: Amount = None

    @field_validator("day_starts")
    @classmethod
    def _clock(cls, text: str) -> str:
        clock_minutes(text)
        return text

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        return zone_of(name).key


class FilterSettings(Settings):
    """What a child follows at all: patterns of symbols, and sessions for its entries."""

    include: Parted = ()
    exclude: Parted = ()
    sessions: Parted = ()

    @field_validator("sessions")
    @classmethod
    def _sessions(cls, sessions: tuple[str, ...]) -> tuple[str, ...]:
        for text in sessions:
            session_of(text)
        return sessions


class ChildSettings(Settings):
    """One child account of a bot.

    `multiplier`: child quantity = parent quantity * `value`, a decimal other than 0 (below 0 reverses the side).
    `percentage`: `value` percent of the parent's share of balance; 100, the default, is the same share.
    """

    account: str
    mode: Literal["percentage", "multiplier"]
    value: Decimal = Decimal(100)
    rounding: Literal["floor", "nearest", "min_one"] = "floor"
    ahead: Literal["trim", "keep", "ask"] = "trim"
    basis: Literal["equity", "cash", "available", "fixed"] = "equity"
    fixed_balance: Decimal | None = Field(default=None, gt=0)
    balance_max_age_s: Decimal = Field(default=Decimal(120), gt=0)
    catch_up: CatchUp = CatchUp()
    trigger: Literal["on_submit", "on_fill"] = "on_submit"
    unfilled_entry: UnfilledEntry = UnfilledEntry()
    unfilled_exit: UnfilledExit = UnfilledExit()
    leverage: Literal["leave", "match_parent", "fixed"] = "leave"
    leverage_value: Decimal | None = Field(default=None, ge=1)
    on_size_reject: Literal["fail", "shrink_to_fit"] = "fail"
    ticket_expires_s: Decimal = Field(default=Decimal(300), gt=0, le=86_400)
    limits: LimitSettings = LimitSettings()
    filters: FilterSettings = FilterSettings()
    hand_trading: Literal["coexist", "enforce", "yield"] = "coexist"

    @field_validator("account")
    @classmethod
    def _account(cls, account: str) -> str:
        return check_account_key(account)

    @field_validator("value", mode="before")
    @classmethod
    def _value(cls, value: Any) -> Any:
        """Refuse what is no number in words, and what can only be a slip: an order of such a size helps nobody."""
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            raise ValueError("the value must be a decimal, such as 0.5 or 100")
        if number and not SMALLEST_VALUE <= abs(number) <= LARGEST_VALUE:
            raise ValueError(f"the value must be between {SMALLEST_VALUE} and {LARGEST_VALUE}, or so far below 0")
        return number

    @model_validator(mode="after")
    def _sizing(self) -> Self:
        if self.mode == "multiplier":
            if "value" not in self.model_fields_set:
                raise ValueError("a multiplier needs its 'value', such as 0.5")
            if self.value == 0:
                raise ValueError("the multiplier K must be a decimal other than 0, such as 0.5, 3 or -1")
        elif self.value <= 0:
            raise ValueError(f"the percentage must be above 0, not {self.value}; 100 is the same share as the parent's")
        if (self.basis == "fixed") != (self.fixed_balance is not None):
            raise ValueError("'fixed_balance' is needed with basis 'fixed', and only there")
        if (self.leverage == "fixed") != (self.leverage_value is not None):
            raise ValueError("'leverage_value' is needed with leverage 'fixed', and only there")
        return self


class StartSettings(Settings):
    """What becomes of what the parent has when the bot is started; `max_adverse_percent` is for `copy_if_better`."""

    policy: Literal["ignore", "adopt", "copy_now", "copy_if_better"] = "ignore"
    max_adverse_percent: Decimal = Field(default=Decimal(0), ge=0)


class ParentSilent(Settings):
    """What is done on the children once the parent cannot be heard for so long."""

    after_s: Decimal = Field(default=Decimal(30), gt=0)
    action: Literal["hold", "cancel_child_entries", "flatten"] = "cancel_child_entries"


class BotSettings(Settings):
    """A bot: one parent, one or more children. `working` is its status: `Working` or `Stopped`."""

    name: str
    parent: str
    children: tuple[ChildSettings, ...] = Field(min_length=1)
    working: bool = False
    start: StartSettings = StartSettings()
    stop: Literal["leave", "wind_down", "cancel_entries", "cancel_all", "flatten"] = "leave"
    parent_silent: ParentSilent = ParentSilent()

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if not _BOT_NAME.fullmatch(name):
            raise ValueError(
                "a bot's name is 1 to 64 letters, digits, spaces, dots or dashes and begins with a letter or digit"
            )
        return name

    @field_validator("parent")
    @classmethod
    def _parent(cls, account: str) -> str:
        return check_account_key(account)

    @model_validator(mode="after")
    def _accounts(self) -> Self:
        seen: set[str] = set()
        for child in self.children:
            if child.account == self.parent:
                raise ValueError(f"account {child.account!r} is both parent and child: choose two different accounts")
            if child.account in seen:
                raise ValueError(f"child account {child.account!r} is there twice: name each child once")
            seen.add(child.account)
        return self

    @property
    def accounts(self) -> tuple[str, ...]:
        """All account keys of this bot, the parent first."""
        return (self.parent, *(child.account for child in self.children))


# --- the rest of the configuration --------------------------------------------------------------------------


class EngineSettings(Settings):
    """How the engine works. Times in seconds.

    `warm_up_ms`: so often the way of a copy is gone through while nothing comes in, 0 for never (`copydesk.warming`).
    `busy_poll`: while bots work the engine waits for events without sleeping, for which it needs a core of its own.
    """

    reconcile_s: Decimal = Field(default=Decimal(30), gt=0)
    durability: Literal["page-cache", "fsync"] = "page-cache"
    connect_timeout_s: Decimal = Field(default=Decimal(30), gt=0)
    place_timeout_s: Decimal = Field(default=Decimal(10), gt=0)
    snapshot_timeout_s: Decimal = Field(default=Decimal(15), gt=0)
    budget_percent: Decimal = Field(default=Decimal(100), gt=0)
    warm_up_ms: Decimal = Field(default=Decimal(2), ge=0)
    busy_poll: bool = False
    day_ends: str = "00:00"
    time_zone: str = "UTC"

    @field_validator("day_ends")
    @classmethod
    def _clock(cls, text: str) -> str:
        clock_minutes(text)
        return text

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        return zone_of(name).key


class ControlSettings(Settings):
    """Where the control API listens. Port 0 is any free port; `control.json` in the data folder tells which."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)


class NotifySettings(Settings):
    """What `copydesk notify` tells people of, and how often. Where to is secret: `copydesk secrets set notify url`."""

    events: tuple[Literal["copy_failed", "out_of_sync", "connection_lost", "limit_hit"], ...] = (
        "copy_failed",
        "out_of_sync",
        "connection_lost",
        "limit_hit",
    )
    out_of_sync_after_s: Decimal = Field(default=Decimal(30), ge=0)
    repeat_s: Decimal = Field(default=Decimal(300), ge=0)
    per_hour: int = Field(default=20, ge=1, le=1000)


class ConnectionConfig(Settings):
    """A login at a venue: its kind, and the plain settings of that kind. In TOML they stand side by side in one table."""

    kind: str = Field(min_length=1)
    options: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, table: Any) -> Any:
        if not isinstance(table, Mapping) or isinstance(table.get("options"), Mapping):
            return table
        given = {"kind": table["kind"]} if "kind" in table else {}
        return {**given, "options": {name: _option_text(value) for name, value in table.items() if name != "kind"}}

    @field_validator("options")
    @classmethod
    def _no_secrets(cls, options: dict[str, str]) -> dict[str, str]:
        for name in options:
            if name.lower().replace("-", "_") in _SECRET_WORDS:
                raise ValueError(
                    f"{name!r} does not belong in the configuration: take it out and give it with `copydesk secrets set`"
                )
        return options


class Config(Settings):
    """All of `copydesk.toml`."""

    engine: EngineSettings = EngineSettings()
    control: ControlSettings = ControlSettings()
    notify: NotifySettings = NotifySettings()
    connections: dict[str, ConnectionConfig] = {}

    @field_validator("connections")
    @classmethod
    def _names(cls, connections: dict[str, ConnectionConfig]) -> dict[str, ConnectionConfig]:
        for name in connections:
            if not _CONNECTION_NAME.fullmatch(name):
                raise ValueError(f"the connection name {name!r} must be 1 to 32 letters, digits, dashes or underscores")
        return connections

    def kind_of(self, account: str) -> str:
        """The connection kind of an account key. Raises `UsageError` where its connection is not configured."""
        name = connection_of(account)
        connection = self.connections.get(name)
        if connection is None:
            known = ", ".join(sorted(self.connections)) or "none yet"
            raise UsageError(
                f"unknown connection {name!r} in account {account!r}: "
                f"add [connections.{name}] to {CONFIG_NAME} (there: {known})"
            )
        return connection.kind


def connection_of(account: str) -> str:
    """The connection's name in an account key `connection` or `connection/account`."""
    return account.partition("/")[0]


def account_of(account: str) -> str:
    """The venue's own account name in an account key; empty where the connection has a single account."""
    return account.partition("/")[2]


def check_account_key(key: str) -> str:
    """Return the key unchanged. Raises `ValueError` unless it is `connection` or `connection/account`."""
    name, slash, account = key.partition("/")
    if not _CONNECTION_NAME.fullmatch(name) or (slash and not account.strip()):
        raise ValueError(f"the account {key!r} must be written as 'connection' or 'connection/account'")
    return key


def check_bot(table: Mapping[str, Any]) -> BotSettings:
    """Make a bot of plain data. Raises `UsageError` with one sentence."""
    try:
        return BotSettings.model_validate(table)
    except ValidationError as error:
        raise UsageError(f"bot {table.get('name', '')!r}: {describe_problem(error)}") from None


# --- reading ------------------------------------------------------------------------------------------------


def load_config(folder: Path) -> Config:
    """Read `copydesk.toml` in the data folder. Raises `ConfigError`: file, line or table, remedy."""
    path = folder / CONFIG_NAME
    table, text = read_toml(path)
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        location = tuple(error.errors()[0]["loc"])
        line = find_line(text, location)
        place = ".".join(str(part) for part in location if part != "options")
        raise ConfigError(f"{path}{f', line {line}' if line else ''}: {place}: {describe_problem(error)}") from None


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """Read a TOML file, numbers as `Decimal`: its table and its text. Raises `ConfigError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist: make it with `copydesk init`") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return tomllib.loads(text, parse_float=Decimal), text
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{path} is not valid TOML: {str(error)[:1].lower()}{str(error)[1:]}; correct that place"
        ) from None


def _setting(place: tuple[int | str, ...]) -> str:
    """What people write for the setting: `unfilled_entry.steps` of a child, the last word of anything else."""
    numbers = [at for at, word in enumerate(place) if isinstance(word, int)]
    inner = place[numbers[-1] + 1 :] if numbers else place[-1:]
    return ".".join(str(word) for word in inner or place[-1:])


def describe_problem(error: ValidationError) -> str:
    """The first problem of a failed validation, in words, without the value where it might be a key."""
    first = error.errors(include_url=False)[0]
    name = _setting(first["loc"])
    context = first.get("ctx", {})
    match first["type"]:
        case "missing":
            return f"{name!r} is missing: add it"
        case "extra_forbidden":
            return f"{name!r} is not a setting there: take it out or correct its spelling"
        case "literal_error":
            return f"{name!r} must be {context['expected']}"
        case "value_error":
            return str(context["error"])
        case "too_short":
            return f"{name!r} needs at least {context['min_length']}"
        case _:
            return f"{name!r} is wrong: {first['msg'][:1].lower()}{first['msg'][1:]}"


def find_line(text: str, location: tuple[str | int, ...]) -> int:
    """The line (from 1) of the TOML text where a validation location stands; 0 where it cannot be told."""
    names = [str(part) for part in location if isinstance(part, str) and part != "options"]
    table, key = names[:-1], names[-1:] or [""]
    found, inside = 0, not table
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            words = [word.strip().strip("\"'") for word in header[1].split(".")]
            inside = words == table
            if words in (table, names) or (not found and words[:1] == names[:1]):
                found = number
        elif inside and re.match(rf"\s*[\"']?{re.escape(key[0])}[\"']?\s*=", line):
            return number
    return found


def _option_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | Decimal) else value
