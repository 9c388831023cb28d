"""The command line: arguments, exit codes, one-line errors. Each command imports what it needs when it runs.

Exit codes: 0 fine, 1 what was asked for was found to be so (something is blocked, something is wrong), 2 an error.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import typer

from filterproxy.errors import FilterproxyError

from . import appeals, canonicalize, check, config, doctor, lists, run, top, version

_HELP = "A DNS and HTTP filter for child online protection that answers for every block."


_COMMANDS: tuple[Callable[..., None], ...] = (
    run.run,
    run.control,
    run.edge,
    run.inspect,
    check.check,
    canonicalize.canonicalize,
    doctor.doctor,
    top.top,
    version.version,
)


def app() -> typer.Typer:
    """Return the whole command line."""
    root = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=_HELP)
    for command in _COMMANDS:
        root.command()(command)
    root.add_typer(lists.app(), name="lists")
    root.add_typer(appeals.app(), name="appeals")
    root.add_typer(config.app(), name="config")
    return root


def main() -> None:
    """Run the command line. An expected error is one line on standard error and exit code 2."""
    # A reader that went away (`| head`) ends us as it ends any filter, without a traceback.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        app()()
    except FilterproxyError as exc:
        print(f"filterproxy: {exc}", file=sys.stderr)
        # Not sys.exit: nothing that this process may have mapped or started is worth waiting for.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(2)
