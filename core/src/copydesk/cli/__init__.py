"""The command line. One file per command or group; each is registered by one line in `_register`.

Exit status: 0 done, 1 something failed, 2 wrong input (one sentence on standard error, nothing was changed), 130 Ctrl-C.
Importing this package imports no plugin and nothing heavy: commands import what they need when they run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from copydesk.cli import (
    accounts,
    bootreport,
    bots,
    demo,
    doctor,
    drift,
    init,
    journal,
    latency,
    limits,
    notify,
    plugins,
    rehearse,
    run,
    secrets,
    tickets,
)
from copydesk.cli.common import set_globals
from copydesk.errors import CopydeskError, UsageError

INTERRUPTED = 130

app = typer.Typer(
    name="copydesk",
    help="Mirrors every trade of a parent account to child accounts.",
    epilog="Begin with `copydesk init`, then `copydesk doctor`. Every command explains itself with --help.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would show local variables, keys among them
)
app.callback()(set_globals)


def _register() -> None:
    app.command("init")(init.init)
    app.command("plugins")(plugins.plugins)
    app.command("accounts")(accounts.accounts)
    app.command("doctor")(doctor.doctor)
    app.command("drift")(drift.drift)
    app.command("certificate")(drift.certificate)
    app.command("demo")(demo.demo)
    app.command("run")(run.run)
    app.command("latency")(latency.latency)
    app.command("boot-report")(bootreport.boot_report)
    app.command("notify")(notify.notify)
    app.command("rehearse")(rehearse.rehearse)
    app.add_typer(bots.app, name="bots")
    app.add_typer(limits.app, name="limits")
    app.add_typer(tickets.app, name="tickets")
    app.add_typer(secrets.app, name="secrets")
    app.add_typer(journal.app, name="journal")


_register()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Failures that have a name become one sentence on standard error."""
    try:
        status = app(args=arguments, prog_name="copydesk", standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        return _refuse_words(error)
    except CopydeskError as error:
        _complain(str(error))
        return 2 if isinstance(error, UsageError) else 1
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # `copydesk journal show | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status if isinstance(status, int) else 0


def _refuse_words(error: TyperException) -> int:
    """What typer found wrong with the words of the command line, as one sentence."""
    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split()).replace("Value error, ", "")
    if message:  # else it was a group alone, and typer has printed its help
        hint = f": see `{context.command_path} --help`" if context is not None else ""
        _complain(f"{message.rstrip('.')}{hint}")
    return error.exit_code


def _complain(sentence: str) -> None:
    typer.echo(f"copydesk: {' '.join(sentence.split())}", err=True)
