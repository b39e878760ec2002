"""`copydesk init`: the first configuration."""

from __future__ import annotations

import typer

from copydesk.cli.common import folder_of, say

TEMPLATE = """\
# The configuration of copydesk. Bots are not here: make them with `copydesk bots add` or in the panel.
# Keys are not here either: give them with `copydesk secrets set CONNECTION FIELD`, or in the environment.
# `copydesk doctor` checks everything.

[engine]
# Seconds between two comparisons of wanted and actual positions.
# reconcile_s = 30
# "page-cache": what was written survives a crash of the program at once, and one of the machine after about 0.1 s.
# "fsync": both at once; each trade then waits for the disk.
# durability = "page-cache"
# Seconds after which an order without an answer counts as unknown and is looked up.
# place_timeout_s = 10

[control]
# Where the control API listens, for the panel and for `copydesk bots`. Port 0 is any free port.
# host = "127.0.0.1"
# port = 0

# One table for each login at a venue. `copydesk plugins` lists the kinds. The name is yours; accounts are called by it,
# or `name/account` where one login carries several.
#
# [connections.parent]
# kind = "binance-futures"
#
# [connections.child1]
# kind = "binance-futures"
#
# A rehearsal venue on this machine (`copydesk rehearse binance-futures`) is reached by its address:
#
# [connections.rehearsed]
# kind = "binance-futures"
# url = "http://127.0.0.1:8080"
"""


def init(context: typer.Context) -> None:
    """Write a commented copydesk.toml into the data folder."""
    from copydesk.config import CONFIG_NAME
    from copydesk.datafolder import make_folder, write_atomically
    from copydesk.errors import UsageError

    path = make_folder(folder_of(context)) / CONFIG_NAME
    if path.exists():
        raise UsageError(f"{path} is there already: edit it, or move it away first")
    write_atomically(path, TEMPLATE.encode())
    say(f"Wrote {path}. Add your connections to it, then run `copydesk doctor`.")
