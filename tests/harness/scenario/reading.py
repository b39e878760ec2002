"""Scenario files: a title, why it matters, the desk, the story. Read strictly: an error names file, line and remedy.

    33 %: buy 10, sell 5
    What is rounded is the whole position, so the child holds 3, then 1, in one step each.

    Desk
      rule     3
      market   price 100, step 1, tick 0.1
      child a  x0.33,rounding=floor

    Story
      parent   buys 10
      child a  shall hold 3

A line of the story that begins with `and` happens in the same moment as the one before it; before any other, everything
comes to rest. `#` begins a comment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from copydesk.cli.bots import child_table, settings_table
from copydesk.config import BotSettings, check_bot
from copydesk.errors import UsageError
from copydesk.model import BudgetScope

from harness.scenario.phrases import Phrase, read_step
from harness.scenario.words import NAME, Unreadable, read_decimal

PARENT = "parent"
RUNNERS = ("pure engine", "binance-futures")


class ScenarioError(Exception):
    """A file that cannot be read: `04-flip.scenario, line 7: ...`."""


@dataclass(frozen=True)
class Step:
    line: int
    text: str
    phrase: Phrase
    values: dict[str, Any]
    together: bool  # in the same moment as the one before


@dataclass
class Market:
    price: Decimal = Decimal(100)
    step: Decimal = Decimal(1)
    tick: Decimal = Decimal("0.1")
    minimum: Decimal = Decimal(0)  # smallest quantity; zero is one step
    notional: Decimal = Decimal(0)  # smallest value of an order


@dataclass(frozen=True)
class OtherBot:
    """A second bot on the same accounts, with one child."""

    name: str
    parent: str
    child: str
    text: str  # the child's settings

    def settings(self) -> BotSettings:
        return check_bot({"name": self.name, "parent": self.parent, "children": [child_table(f"{self.child}={self.text}")]})


@dataclass
class Scenario:
    path: Path
    title: str = ""
    why: list[str] = field(default_factory=list)
    rules: tuple[int, ...] = ()
    market: Market = field(default_factory=Market)
    children: dict[str, str] = field(default_factory=dict)  # as `copydesk bots add --child` takes it
    bot: dict[str, str] = field(default_factory=dict)
    engine: dict[str, str] = field(default_factory=dict)
    cash: dict[str, Decimal] = field(default_factory=dict)
    leverage: dict[str, int] = field(default_factory=dict)
    hedge: bool = False
    oco: bool = False  # one cancels the other at the venue itself
    targets: bool = True  # there are take-profit orders
    spot: bool = False  # what is traded are coins: no reduce-only orders, and an exit binds what it would sell
    fees: bool = False  # of what is bought there, some goes as the fee
    others: list[OtherBot] = field(default_factory=list)
    budget: dict[str, Any] = field(default_factory=dict)  # what may be sent: fields of `Capabilities`
    stopped: bool = False  # the bot is not started before the story begins
    nets: bool = True  # else a flip is two orders: close, confirm, open
    final: bool = False  # what went out and did not arrive is known to be lost, once the venue is asked
    held: bool = False  # messages move only when the story says so
    amends: tuple[str, ...] = ("limit",)
    skips: dict[str, str] = field(default_factory=dict)  # runner: why it cannot run there
    desk: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def accounts(self) -> tuple[str, ...]:
        return (PARENT, *self.children, *dict.fromkeys(bot.child for bot in self.others if bot.child not in self.children))

    def settings(self) -> BotSettings:
        """The bot, checked as everywhere. Raises `UsageError`."""
        children = [child_table(f"{name}={text}") for name, text in self.children.items()]
        bot = settings_table([f"{name}={value}" for name, value in self.bot.items()])
        return check_bot({"name": "bot", "parent": PARENT, "children": children, **bot})


def read_scenario(path: Path) -> Scenario:
    """Read a file. Raises `ScenarioError`."""
    return read_text(path.read_text(encoding="utf-8"), path)


def read_text(text: str, path: Path) -> Scenario:
    scenario = Scenario(path)
    part, line = "Title", 0
    try:
        for line, raw in enumerate(text.splitlines(), start=1):
            words = re.sub(r"(^|\s)#.*", "", raw).strip()
            if words in ("Desk", "Story"):
                part = words
            elif words or part == "Title":
                part = _take(scenario, part, words, line)
        line = 0
        _check(scenario)
    except (Unreadable, UsageError) as error:
        where = f"{path.name}, line {line}" if line else path.name
        raise ScenarioError(f"{where}: {error}") from None
    return scenario


def _take(scenario: Scenario, part: str, words: str, line: int) -> str:
    """Take one line in; return the part of the file that the next one belongs to."""
    match part:
        case "Title":
            if not words:
                raise Unreadable("the first line is the scenario's title")
            scenario.title = words
            return "Why"
        case "Why":
            scenario.why.append(words)
        case "Desk":
            scenario.desk.append(" ".join(words.split()))
            _setting(scenario, scenario.desk[-1])
        case "Story":
            together = words.startswith("and ")
            phrase, values = read_step(words.removeprefix("and ").strip())
            _known(scenario, values)
            scenario.steps.append(Step(line, " ".join(words.split()), phrase, values, together))
    return part


_DESK = {
    "rule": re.compile(r"rules? (?P<rules>\d+(?:, \d+)*)"),
    "market": re.compile(r"market (?P<market>.+)"),
    "child": re.compile(rf"child (?P<child>{NAME}) (?P<settings>\S.*)"),
    "many": re.compile(r"(?P<many>\d+) children (?P<settings>\S+)"),
    "budget": re.compile(r"venue allows (?P<budget>\d+) requests a minute(?P<each> to each account)?"),
    "pace": re.compile(r"venue takes (?P<pace>\d+) orders? a second of each account"),
    "accounts": re.compile(rf"(?P<account>{NAME}) has (?P<cash>[\d.,]+)(?: and (?P<leverage>\d+)x leverage)?"),
    "bot": re.compile(r"bot (?P<bot>[\w.]+)=(?P<value>.+)"),
    "engine": re.compile(r"engine (?P<engine>\w+)=(?P<value>.+)"),
    "stopped": re.compile(r"bot is (?P<stopped>stopped)"),
    "oco": re.compile(r"venue has (?P<oco>native OCO)"),
    "targetless": re.compile(r"venue has (?P<targetless>no take-profit orders)"),
    "spot": re.compile(r"venue is (?P<spot>spot)"),
    "hedge": re.compile(r"all accounts are in (?P<hedge>hedge mode)"),
    "fees": re.compile(r"venue takes (?P<fees>its fee in coins)"),
    "another": re.compile(rf"another bot copies (?P<follows>{NAME}) to (?P<onto>{NAME}) (?P<text>\S+)"),
    "nets": re.compile(r"venue (?P<nets>does not net)"),
    "final": re.compile(r"venue tells (?P<final>what never arrived)"),
    "held": re.compile(r"messages are (?P<held>held)"),
    "amends": re.compile(r"venue amends (?P<amends>.+)"),
    "skip": re.compile(rf"not on (?:the )?(?P<skip>{'|'.join(RUNNERS)}): (?P<reason>.+)"),
}
_DESK_HELP = "expected one of: " + " | ".join(
    (
        "rule 3",
        "market price 100, step 1, tick 0.1, minimum 5, notional 50",
        "child NAME SETTINGS as `--child` takes them, such as x0.5,rounding=nearest",
        "20 children SETTINGS",
        "NAME has 1000 and 20x leverage",
        "bot SETTING=VALUE",
        "engine SETTING=VALUE",
        "bot is stopped",
        "all accounts are in hedge mode",
        "venue amends nothing",
        "venue allows 80 requests a minute",
        "venue allows 80 requests a minute to each account",
        "venue takes 5 orders a second of each account",
        "venue does not net",
        "venue tells what never arrived",
        "messages are held",
        "venue has native OCO",
        "venue is spot",
        "venue has no take-profit orders",
        "venue takes its fee in coins",
        "another bot copies NAME to NAME x1",
        "not on binance-futures: REASON",
    )
)


def _setting(scenario: Scenario, text: str) -> None:
    for pattern in _DESK.values():
        match = pattern.fullmatch(text)
        if match is not None:
            _set(scenario, match.groupdict())
            return
    raise Unreadable(f"{text!r} is no setting of a desk; {_DESK_HELP}")


def _set(scenario: Scenario, found: dict[str, str]) -> None:
    match found:
        case {"rules": rules}:
            scenario.rules = tuple(int(rule) for rule in rules.split(", "))
        case {"market": text}:
            for part in text.split(", "):
                name, _, value = part.partition(" ")
                if name not in Market.__dataclass_fields__:
                    raise Unreadable(f"{name!r} is nothing of a market: {', '.join(Market.__dataclass_fields__)}")
                setattr(scenario.market, name, read_decimal(value))
        case {"child": name, "settings": settings}:
            scenario.children[name] = settings
        case {"many": count, "settings": settings}:
            scenario.children.update({f"c{n}": settings for n in range(1, int(count) + 1)})
        case {"budget": count, "each": each}:
            scope = BudgetScope.CONNECTION if each else BudgetScope.MACHINE
            scenario.budget |= {"requests_per_minute": int(count), "requests_scope": scope}
            scenario.skips["binance-futures"] = "its limits are others"
        case {"pace": count}:
            scenario.budget |= {"orders_per_second": int(count)}
            scenario.skips["binance-futures"] = "its limits are others"
        case {"account": name, "cash": cash}:
            scenario.cash[name] = read_decimal(cash)
            if found["leverage"]:
                scenario.leverage[name] = int(found["leverage"])
        case {"bot": name, "value": value}:
            scenario.bot[name] = value
        case {"engine": name, "value": value}:
            scenario.engine[name] = value
        case {"stopped": _}:
            scenario.stopped = True
        case {"oco": _}:
            scenario.oco = True
            scenario.skips["binance-futures"] = "it has no orders of which one cancels the other"
        case {"targetless": _}:
            scenario.targets = False
            scenario.skips["binance-futures"] = "it has take-profit orders"
        case {"follows": parent, "onto": child, "text": text}:
            scenario.others.append(OtherBot(f"bot {len(scenario.others) + 2}", parent, child, text))
        case {"fees": _}:
            scenario.fees = True
        case {"spot": _}:
            scenario.spot = scenario.oco = True
            scenario.skips["binance-futures"] = "it has no coins, and links no orders"
        case {"hedge": _}:
            scenario.hedge = True
        case {"nets": _}:
            scenario.nets = False
            scenario.skips["binance-futures"] = "it nets positions"
        case {"final": _}:
            scenario.final = True
            scenario.skips["binance-futures"] = "it does not tell that"
        case {"held": _}:
            scenario.held = True
            scenario.skips["binance-futures"] = "it tells single messages"
        case {"amends": text}:
            scenario.amends = () if text == "nothing" else tuple(text.split(", "))
        case {"skip": runner, "reason": reason}:
            scenario.skips[runner] = reason


def _known(scenario: Scenario, values: dict[str, Any]) -> None:
    account = values.get("account")
    if account is not None and account != "every child" and account not in scenario.accounts:
        raise Unreadable(f"there is no account {account!r}: {', '.join(scenario.accounts)}")


def _check(scenario: Scenario) -> None:
    if not scenario.rules:
        raise Unreadable("the desk names no rule: add a line such as 'rule 3'")
    if not scenario.children:
        raise Unreadable("the desk has no child: add a line such as 'child a x0.5'")
    scenario.settings()
    if not any(step.phrase.is_check for step in scenario.steps):
        raise Unreadable("the story checks nothing: add a line such as 'child a shall hold 3'")
    if set(RUNNERS) <= set(scenario.skips):
        raise Unreadable("it runs nowhere")
