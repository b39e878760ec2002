"""How plans of starts and stops are shown to people, and `copydesk bots start` and `stop` with their confirmation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from copydesk.cli.common import Json, folder_of, print_json, print_table, say

if TYPE_CHECKING:
    from copydesk.feasibility import Preview
    from copydesk.plans import PlannedSend, StartPlan, StopPlan

Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of bots.")]
Show = Annotated[bool, typer.Option("--plan", help="Only show what would be done and sent.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do what the plan says, without asking again.")]
StartPolicy = Annotated[
    str,
    typer.Option(
        "--policy",
        metavar="POLICY",
        help="What becomes of what the parent has: ignore, adopt, copy_now, copy_if_better. Default: the bot's setting.",
    ),
]
Percent = Annotated[
    str,
    typer.Option("--percent", metavar="P", help="With copy_if_better: how much worse than the parent's entry is good."),
]
StopPolicy = Annotated[
    str,
    typer.Option(
        "--policy",
        metavar="POLICY",
        help="leave, wind_down, cancel_entries, cancel_all or flatten. Default: the bot's setting.",
    ),
]


def start_bots(
    context: typer.Context,
    names: Names,
    policy: StartPolicy = "",
    percent: Percent = "",
    plan: Show = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Start bots. What would send something is shown first, and done with --yes."""
    import msgspec

    from copydesk.botdesk import open_desk
    from copydesk.errors import UsageError
    from copydesk.plans import StartOrder

    order = StartOrder(policy=policy, max_adverse_percent=_number(percent))
    with open_desk(folder_of(context)) as desk:
        desk.check_names(names)
        for name in names:
            if not plan and desk.get(name).working:
                if policy:
                    raise UsageError(f"{name} works already: a policy is for a start; stop it first")
                _tell(f"{name} works already.", as_json)
                continue
            confirmed = order
            if plan or desk.start_sends(name, order):
                found = desk.plan_start(name, order)
                _show(found, as_json, show_start)
                if plan or not _may_go_on(found, yes):
                    continue
                confirmed = msgspec.structs.replace(order, digest=found.digest)
            desk.start(name, confirmed)
            _tell(f"Started {name}{desk.when}.", as_json)


def stop_bots(
    context: typer.Context,
    names: Names,
    policy: StopPolicy = "",
    plan: Show = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Stop bots. What would cancel or close something is shown first, and done with --yes."""
    import msgspec

    from copydesk.botdesk import open_desk
    from copydesk.plans import StopOrder

    order = StopOrder(policy=policy)
    with open_desk(folder_of(context)) as desk:
        desk.check_names(names)
        for name in names:
            confirmed = order
            if plan or desk.stop_sends(name, order):
                found = desk.plan_stop(name, order)
                _show(found, as_json, show_stop)
                if plan or not _may_go_on(found, yes):
                    continue
                confirmed = msgspec.structs.replace(order, digest=found.digest)
            desk.stop(name, confirmed)
            if desk.get(name).working:
                _tell(f"{name} winds down: it is Stopped once its children are flat.", as_json)
            else:
                _tell(f"Stopped {name}{desk.when}.", as_json)


def preview(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The bot's name.")],
    last: Annotated[int, typer.Option("--last", min=1, max=1000, help="So many of the parent's last trades.")] = 20,
    as_json: Json = False,
) -> None:
    """What each child could follow: the smallest order, the balance it needs, what it would have skipped and why."""
    from copydesk.botdesk import open_desk

    with open_desk(folder_of(context)) as desk:
        desk.check_names([name])
        found = desk.preview(name, last)
    _show(found, as_json, show_preview)


def _number(text: str) -> Any:
    from decimal import Decimal, InvalidOperation

    from copydesk.errors import UsageError

    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        raise UsageError(f"--percent must be a decimal, such as 0.1, not {text!r}") from None


def _show(plan: Any, as_json: bool, show: Callable[[Any], None]) -> None:
    if as_json:
        print_json(plan)
    else:
        show(plan)


def _tell(sentence: str, as_json: bool) -> None:
    """What was done; beside JSON it goes where it does not disturb."""
    typer.echo(sentence, err=as_json)


def _may_go_on(plan: StartPlan | StopPlan, yes: bool) -> bool:
    """True where the plan sends nothing, or was confirmed. Else say how to confirm it; exit status 1."""
    if not plan.changes or yes:
        return True
    typer.echo("Nothing was done. Give --yes to do this.", err=True)
    raise typer.Exit(1)


def show_preview(found: Preview) -> None:
    from copydesk.wording import counted, number

    say(f"{found.bot}: copies {found.parent}; looked at its last {counted(len(found.trades), 'trade')}")
    for child in found.children:
        if child.problem or child.ratio is None:
            say(f"{child.account}: {child.problem}")
            continue
        say(f"{child.account}: the parent's quantity times {child.ratio:.6g}")
        rows = [
            (
                one.symbol,
                f"{number(one.smallest_parent_order)} (child {number(one.smallest_child_order)}, by the {one.limited_by})",
                number(one.last_order) if one.last_order is not None else "",
                f"{one.balance_needed:.2f}" if one.balance_needed is not None else "",
                f"{one.margin_needed:.2f}" if one.margin_needed is not None else "",
            )
            for one in child.symbols
        ]
        columns = ("symbol", "smallest parent order", "last order", "balance it needs", "margin it binds")
        nothing = "The parent has traded, holds and orders nothing yet: ask again after its first order."
        print_table(columns, rows, empty=nothing)
        if child.trades:
            end = ":" if child.skipped else "."
            say(f"{child.account} would have skipped {len(child.skipped) or 'none'} of {child.trades}{end}")
        for skipped in child.skipped:
            trade = skipped.trade
            say(f"  {trade.side.upper()} {number(trade.quantity)} {trade.symbol}: {skipped.reason}")


# --- in words ---------------------------------------------------------------------------------------------------------


def show_start(plan: StartPlan) -> None:
    from copydesk.wording import number, terms

    say(f"{plan.bot}: start under '{plan.policy}', copying {plan.parent}")
    rows = [(p.symbol, p.position_side, number(p.quantity), number(p.entry_price)) for p in plan.positions]
    print_table(("parent holds", "side", "quantity", "entry price"), rows, empty="The parent holds no position.")
    orders = [(terms(order.terms), number(order.filled)) for order in plan.orders]
    print_table(("parent's working orders", "filled"), orders, empty="The parent has no working order.")
    if plan.policy == "ignore":
        say("All of that stays the parent's own affair: it is the baseline, and exits of it send nothing.")
    for child in plan.children:
        for position in child.positions:
            held, aim, taken = (number(n) for n in (position.held, position.target, position.adopted))
            say(f"{child.account}: holds {held} {position.symbol}, should hold {aim}, of which {taken} counts as copied")
    _show_sends(plan)
    for refusal in plan.refusals:
        say(f"Cannot be started so: {refusal}")


def show_stop(plan: StopPlan) -> None:
    say(f"{plan.bot}: stop under '{plan.policy}'")
    _show_sends(plan)


def _show_sends(plan: StartPlan | StopPlan) -> None:
    rows = [(send.account, _send_text(send)) for send in plan.sends]
    print_table(("child", "would be sent"), rows, empty="Nothing would be sent.")
    for child in plan.children:
        for change in child.leverage:
            say(f"{child.account}: the leverage of {change.symbol} would be set to {change.leverage}")
        for remark in child.remarks:
            say(f"{child.account}: {remark}")
    for warning in plan.warnings:
        say(f"Note: {warning}")


def _send_text(send: PlannedSend) -> str:
    from copydesk.wording import terms

    words = {"place": "", "cancel": "cancel of ", "modify": "change to "}[send.what]
    mark = " (protects the position)" if send.protects and send.what == "cancel" else ""
    return f"{words}{terms(send.terms)}{mark}"
