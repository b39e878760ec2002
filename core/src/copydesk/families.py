"""Who copies whom (rule 19): loops and children of two bots are refused, and chains are pointed out. Pure.

A loop would be harmless as things are, for orders with this engine's prefix are never copied; but it copies nothing either,
and whoever makes one expects something else. For the same reason a chain (a child of one bot is the parent of another)
copies only what somebody trades there by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from copydesk.config import BotSettings, ChildSettings
from copydesk.errors import Conflict
from copydesk.filters import matches


def check_family(bot: BotSettings, others: Sequence[BotSettings]) -> None:
    """Raises `Conflict` where the bot would close a loop, or has a child that another bot has for the same symbols."""
    loop = _loop(bot, others)
    if loop:
        raise Conflict(f"bot {bot.name!r} would close a loop: {' -> '.join(loop)}; take one of these accounts out")
    for other in others:
        for child in bot.children:
            for theirs in other.children:
                if child.account == theirs.account and share_symbols(child, theirs):
                    raise Conflict(
                        f"bot {bot.name!r}: account {child.account!r} is a child of bot {other.name!r} for the same "
                        "symbols: take it out of one, or give each symbols of its own with filters.include"
                    )


def chains(bot: BotSettings, others: Iterable[BotSettings]) -> list[str]:
    """A sentence for each account that one bot copies to and another one copies from."""
    found = []
    for other in others:
        for first, second in ((bot, other), (other, bot)):
            if any(child.account == second.parent for child in first.children):
                found.append(
                    f"{second.parent} is a child of bot {first.name!r} and the parent of bot {second.name!r}: copies are "
                    f"never copied again, so {second.name!r} copies only what somebody trades on {second.parent} by hand"
                )
    return found


def _loop(bot: BotSettings, others: Sequence[BotSettings]) -> list[str]:
    """The accounts of a loop that leads from the bot's parent back to it, or nothing."""
    reached: dict[str, list[str]] = {child.account: [bot.parent, child.account] for child in bot.children}
    waiting = list(reached)
    while waiting:
        account = waiting.pop(0)
        for other in others:
            if other.parent != account:
                continue
            for child in other.children:
                path = [*reached[account], child.account]
                if child.account == bot.parent:
                    return path
                if child.account not in reached:
                    reached[child.account] = path
                    waiting.append(child.account)
    return []


# --- symbols ----------------------------------------------------------------------------------------------------------


def share_symbols(one: ChildSettings, other: ChildSettings) -> bool:
    """False only where it is certain that no symbol passes the filters of both."""
    return any(
        common(mine.upper(), theirs.upper())
        for mine in one.filters.include or ("*",)
        for theirs in other.filters.include or ("*",)
        if not (_excluded(mine, other.filters.exclude) or _excluded(theirs, one.filters.exclude))
    )


def _excluded(pattern: str, exclude: tuple[str, ...]) -> bool:
    """Everything that the pattern fits is excluded, for certain."""
    plain = not set(pattern) & set("*?[")
    return matches(pattern, tuple(one for one in exclude if plain or not set(one) & set("?[")))


def common(one: str, other: str) -> bool:
    """True where some text fits both patterns; a class in brackets counts as fitting anything."""
    if "[" in one or "[" in other:
        return True
    ends = {(0, 0)}
    seen = set(ends)
    while ends:
        i, j = ends.pop()
        here, there = one[i : i + 1], other[j : j + 1]  # empty at the end
        if not here and not there:
            return True
        steps = set()
        if "*" in (here, there):
            steps = {(i + len(here), j), (i, j + len(there))}
        elif here and there and (here == there or "?" in (here, there)):
            steps = {(i + 1, j + 1)}
        ends |= steps - seen
        seen |= steps
    return False
