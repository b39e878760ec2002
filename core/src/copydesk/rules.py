"""From what people set to the rules that the pure engine works by."""

from __future__ import annotations

import msgspec

from copydesk.config import BotSettings, ChildSettings, LimitSettings, UnfilledEntry, UnfilledExit
from copydesk.filters import clock_minutes, session_of
from copydesk.inputs import BotRules, ChildRules, Filters, Limits, Unfilled
from copydesk.model import ZERO


def rules_of(bot: BotSettings, kind: str) -> BotRules:
    """A bot whose accounts are of `kind`."""
    return BotRules(
        name=bot.name,
        kind=kind,
        parent=bot.parent,
        children=tuple(_child_rules(child) for child in bot.children),
        parent_silent_after_ms=int(bot.parent_silent.after_s * 1000),
        parent_silent_action=bot.parent_silent.action,
    )


def _child_rules(child: ChildSettings) -> ChildRules:
    return ChildRules(
        account=child.account,
        mode=child.mode,
        value=child.value,
        rounding=child.rounding,
        ahead=child.ahead,
        basis=child.basis,
        fixed_balance=child.fixed_balance or ZERO,
        balance_max_age_ms=int(child.balance_max_age_s * 1000),
        catch_up_max_age_ms=int(child.catch_up.max_age_s * 1000),
        catch_up_max_adverse_percent=child.catch_up.max_adverse_percent,
        trigger=child.trigger,
        unfilled_entry=msgspec.structs.replace(
            _unfilled(child.unfilled_entry), max_slippage_percent=child.unfilled_entry.max_slippage_percent
        ),
        unfilled_exit=_unfilled(child.unfilled_exit),
        on_size_reject=child.on_size_reject,
        ticket_expires_ms=int(child.ticket_expires_s * 1000),
        limits=_limits(child.limits),
        hand_trading=child.hand_trading,
        filters=Filters(
            include=child.filters.include,
            exclude=child.filters.exclude,
            sessions=tuple(session_of(text) for text in child.filters.sessions),
        ),
    )


def _limits(limits: LimitSettings) -> Limits:
    return Limits(
        over=limits.over,
        max_order=limits.max_order or ZERO,
        max_order_notional=limits.max_order_notional or ZERO,
        max_position=limits.max_position or ZERO,
        max_position_notional=limits.max_position_notional or ZERO,
        daily_loss=limits.daily_loss or ZERO,
        day_starts=clock_minutes(limits.day_starts),
        zone=limits.time_zone,
        symbols=limits.symbols,
        price_band_percent=limits.price_band_percent or ZERO,
    )


def _unfilled(settings: UnfilledEntry | UnfilledExit) -> Unfilled:
    return Unfilled(
        action=settings.action,
        after_ms=int(settings.after_s * 1000),
        step_percent=settings.step_percent,
        steps=settings.steps,
    )
