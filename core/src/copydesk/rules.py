"""From what people set to the rules that the pure engine works by."""

from __future__ import annotations

from copydesk.config import BotSettings, ChildSettings
from copydesk.inputs import BotRules, ChildRules
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
    )
