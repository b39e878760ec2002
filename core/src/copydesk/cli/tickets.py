"""`copydesk tickets`: what could not be copied, to be sent by hand. Works through the engine that runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from copydesk.cli.common import Json, folder_of, print_json, print_table, say

if TYPE_CHECKING:
    from copydesk.view import Ticket

app = typer.Typer(
    name="tickets", help="Manual tickets: what could not be copied. List, send, dismiss.", no_args_is_help=True
)

Number = Annotated[str, typer.Argument(metavar="TICKET", help="Its name, such as t3.")]
Actor = Annotated[str, typer.Option("--actor", metavar="NAME", help="Who decides; otherwise the user of this machine.")]


@app.command("list")
def list_tickets(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that were sent, dismissed or have expired.")] = False,
    as_json: Json = False,
) -> None:
    """List the tickets that may be sent now."""
    from copydesk import wording
    from copydesk.client import ControlClient

    with ControlClient.for_folder(folder_of(context)) as client:
        found = [ticket for ticket in client.tickets() if every or ticket.status == "open"]
    if as_json:
        print_json(found)
        return
    rows = [(one.id, one.bot, one.child, wording.terms(one.terms), _until(one), one.why) for one in found]
    print_table(("ticket", "bot", "child", "order", "expires", "why"), rows, empty="No ticket waits to be sent.")


@app.command("send")
def send(context: typer.Context, ticket: Number, actor: Actor = "", as_json: Json = False) -> None:
    """Send what a ticket is for, once. It counts as copied: what closes at the parent closes it too."""
    from getpass import getuser

    from copydesk import wording
    from copydesk.client import ControlClient

    with ControlClient.for_folder(folder_of(context)) as client:
        sent = client.send_ticket(ticket, actor or getuser())
    if as_json:
        print_json(sent)
        return
    say(f"Sent {sent.id} to {sent.child}: {wording.terms(sent.terms)}. What becomes of it is in the log.")


@app.command("dismiss")
def dismiss(context: typer.Context, ticket: Number, actor: Actor = "", as_json: Json = False) -> None:
    """Let a ticket go: nothing is sent by it any more."""
    from getpass import getuser

    from copydesk.client import ControlClient

    with ControlClient.for_folder(folder_of(context)) as client:
        gone = client.dismiss_ticket(ticket, actor or getuser())
    if as_json:
        print_json(gone)
        return
    say(f"Dismissed {gone.id}.")


def _until(ticket: Ticket) -> str:
    if ticket.status != "open":
        return ticket.status
    return f"in {max(0, (ticket.expires_ns - time.time_ns()) // 1_000_000_000)} s"
