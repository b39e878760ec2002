"""`copydesk bots`: list, add, start, stop, remove, change. Through the engine where one runs, else on `bots.toml`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from copydesk.cli import plans
from copydesk.cli.common import Json, folder_of, print_json, print_table, say

if TYPE_CHECKING:
    from copydesk.config import BotSettings, ChildSettings

app = typer.Typer(name="bots", help="Bots: list, add, start, stop, remove, settings.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The bot's name.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of bots.")]
CHILD_HELP = (
    "A child account and its size: `acc=x0.5` (parent quantity times 0.5), `acc=100%` (the same share of balance); more "
    "settings after commas: `acc=x3,rounding=nearest`. Repeat it for more children."
)
Sets = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="SETTING=VALUE",
        help="A setting of the bot itself: start.policy=adopt, stop=wind_down, parent_silent.after_s=60. May be repeated.",
    ),
]
Parent = Annotated[str, typer.Option("--parent", metavar="ACCOUNT", help="The account that is copied.")]
Children = Annotated[list[str], typer.Option("--child", metavar="ACCOUNT=SIZE", help=CHILD_HELP)]


@app.command("list")
def list_bots(context: typer.Context, as_json: Json = False) -> None:
    """List all bots."""
    from copydesk.botdesk import open_desk

    with open_desk(folder_of(context)) as desk:
        bots = desk.bots()
    if as_json:
        print_json([_plain(bot) for bot in bots])
        return
    rows = [(bot.name, bot.parent, ", ".join(map(_child_text, bot.children)), _status(bot)) for bot in bots]
    print_table(("name", "parent", "children", "status"), rows, empty="No bots yet: make one with `copydesk bots add`.")


@app.command("add")
def add_bot(
    context: typer.Context,
    name: Name,
    parent: Parent,
    child: Children,
    start: Annotated[bool, typer.Option("--start", help="Start it at once.")] = False,
    setting: Sets = [],  # noqa: B006 - typer copies it
) -> None:
    """Make a bot that copies one parent account to one child account or more."""
    from copydesk.botdesk import open_desk
    from copydesk.config import check_bot
    from copydesk.plans import StartOrder

    table = {"name": name, "parent": parent, "children": [child_table(text) for text in child]}
    bot = check_bot(merged(table, settings_table(setting)))
    with open_desk(folder_of(context)) as desk:
        desk.add(bot)
        say(f"Added the bot {bot.name}.")
        _say_chains(bot, desk.bots())
        if start:
            desk.start(bot.name, StartOrder())
            say(f"Started {bot.name}{desk.when}.")


app.command("start")(plans.start_bots)
app.command("stop")(plans.stop_bots)
app.command("preview")(plans.preview)


@app.command("remove")
def remove_bots(context: typer.Context, names: Names) -> None:
    """Remove bots. Orders and positions stay as they are."""
    from copydesk.botdesk import open_desk

    with open_desk(folder_of(context)) as desk:
        desk.check_names(names)
        for name in names:
            desk.remove(name)
            say(f"Removed {name}.")


@app.command("settings")
def settings(
    context: typer.Context,
    name: Name,
    rename: Annotated[str, typer.Option("--rename", metavar="NAME", help="A new name.")] = "",
    parent: Parent = "",
    child: Children = [],  # noqa: B006 - typer copies it
    remove_child: Annotated[list[str], typer.Option("--remove-child", metavar="ACCOUNT", help="Take a child out.")] = [],  # noqa: B006
    setting: Sets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Show a bot's settings, or change those that are given; a child that is there already keeps its others."""
    from copydesk.botdesk import open_desk
    from copydesk.config import check_bot

    with open_desk(folder_of(context)) as desk:
        bot = desk.get(name)
        if rename or parent or child or remove_child or setting:
            table = _plain(bot) | {"name": rename or bot.name, "parent": parent or bot.parent}
            table |= {"children": changed_children(bot, child, remove_child)}
            bot = check_bot(merged(table, settings_table(setting)))
            desk.change(name, bot)
            bot = desk.get(bot.name)
            _say_chains(bot, desk.bots())
    if as_json:
        print_json(_plain(bot))
        return
    say(f"{bot.name}: copies {bot.parent}, {_status(bot)}")
    say(f"settings: {_bot_text(bot)}")
    tables = [{"size": _size_text(one), **_others(one)} for one in bot.children]
    names = list(dict.fromkeys(name for table in tables for name in table))
    rows = [(name, *(str(table.get(name, "")) for table in tables)) for name in names]
    print_table(("setting", *(child.account for child in bot.children)), rows, empty="")


def _say_chains(bot: BotSettings, bots: Iterable[BotSettings]) -> None:
    from copydesk.families import chains

    for sentence in chains(bot, [other for other in bots if other.name != bot.name]):
        typer.echo(f"Note: {sentence}.", err=True)


def settings_table(settings: list[str]) -> dict[str, Any]:
    """`start.policy=adopt` and the like as plain data. Raises `UsageError`."""
    from copydesk.errors import UsageError

    table: dict[str, Any] = {}
    for text in settings:
        key, equals, value = (word.strip() for word in text.partition("="))
        group, dot, name = key.partition(".")
        if not (equals and value and group and (name or not dot)) or group in ("name", "parent", "children", "working"):
            raise UsageError(f"--set {text!r} must be SETTING=VALUE, such as stop=wind_down or start.policy=adopt")
        if dot:
            inner = table.setdefault(group, {})
            if not isinstance(inner, dict):
                raise UsageError(f"--set: {group!r} is given as a whole and in part: give it once")
            inner[name] = value
        else:
            table[group] = value
    return table


def _bot_text(bot: BotSettings) -> str:
    table = bot.model_dump(exclude={"name", "parent", "children", "working"}, exclude_none=True)
    parts = []
    for key, value in table.items():
        parts += [f"{key}.{name}={one}" for name, one in value.items()] if isinstance(value, dict) else [f"{key}={value}"]
    return ", ".join(parts)


# --- children in words --------------------------------------------------------------------------------------


def child_table(text: str) -> dict[str, Any]:
    """`acc=x0.5,rounding=nearest` as plain data. Raises `UsageError`."""
    from copydesk.errors import UsageError

    first, *more = [part.strip() for part in text.split(",")]
    account, _, size = (part.strip() for part in first.partition("="))
    table: dict[str, Any] = {"account": account, **_size_table(account, size)}
    for part in more:
        key, equals, value = (word.strip() for word in part.partition("="))
        if not (key and equals and value):
            raise UsageError(f"--child {text!r}: {part!r} must be SETTING=VALUE, such as rounding=nearest")
        group, dot, name = key.partition(".")
        inner = table.setdefault(group, {}) if dot else table
        if not isinstance(inner, dict):
            raise UsageError(f"--child {text!r}: {group!r} is given as a whole and in part: give it once")
        inner[name if dot else key] = value
    return table


def _size_table(account: str, size: str) -> dict[str, str]:
    from copydesk.errors import UsageError

    if size.endswith("%"):
        return {"mode": "percentage", "value": size[:-1].strip()}
    if size[:1] in ("x", "X"):
        return {"mode": "multiplier", "value": size[1:].strip()}
    raise UsageError(
        f"child {account!r} needs its size: {account}=x0.5 (multiplier) or {account}=100% (percentage), not {size!r}"
    )


def changed_children(bot: BotSettings, changed: list[str], removed: list[str]) -> list[dict[str, Any]]:
    from copydesk.errors import UsageError

    children = {child.account: child.model_dump(exclude_unset=True) for child in bot.children}
    for account in removed:
        if account not in children:
            raise UsageError(f"bot {bot.name!r} has no child {account!r} to take out (its children: {', '.join(children)})")
        del children[account]
    for text in changed:
        table = child_table(text)
        children[table["account"]] = merged(children.get(table["account"], {}), table)
    return list(children.values())


def merged(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """`after` over `before`, and the same within each group of settings."""
    groups = {
        key: before[key] | value
        for key, value in after.items()
        if isinstance(value, dict) and isinstance(before.get(key), dict)
    }
    return before | after | groups


def _child_text(child: ChildSettings) -> str:
    return f"{child.account} {_size_text(child)}"


def _size_text(child: ChildSettings) -> str:
    return f"x{child.value}" if child.mode == "multiplier" else f"{child.value}%"


def _others(child: ChildSettings) -> dict[str, Any]:
    return _flat(child.model_dump(exclude={"account", "mode", "value"}, exclude_none=True))


def _flat(table: dict[str, Any]) -> dict[str, Any]:
    """Settings as they are written after a child: groups by dotted names, lists parted by semicolons, none left out."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{name}": inner for name, inner in _flat(value).items()}
        elif isinstance(value, list | tuple):
            flat |= {key: ";".join(map(str, value))} if value else {}
        else:
            flat[key] = value
    return flat


def _status(bot: BotSettings) -> str:
    return "Working" if bot.working else "Stopped"


def _plain(bot: BotSettings) -> dict[str, Any]:
    return bot.model_dump(exclude_none=True)
