"""`copydesk doctor`: is everything in order?"""

from __future__ import annotations

import typer

from copydesk.cli.common import Json, folder_of, print_json, print_table, sealed_of


def doctor(context: typer.Context, as_json: Json = False) -> int:
    """Check the configuration, keys, clock, disk and limits. Exit status 1 where something would not work."""
    from copydesk.doctor import examine

    checks = examine(folder_of(context), sealed_of(context))
    if as_json:
        print_json(checks)
    else:
        print_table(("", "what", "finding"), [(check.status, check.name, check.finding) for check in checks], empty="")
    return 1 if any(check.status == "fail" for check in checks) else 0
