"""The command line: arguments, exit codes, one-line errors. Each command imports what it needs when it runs.

Exit codes: 0 fine, 1 what was asked for was found to be so (something is blocked, something is wrong), 2 an error.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import typer
from typer.exceptions import Abort, TyperException

from filterproxy.errors import FilterproxyError

from . import admin, appeals, canonicalize, check, config, doctor, lists, run, top, version

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
    root.add_typer(admin.app(), name="admin")
    root.add_typer(config.app(), name="config")
    return root


def main() -> None:
    """Run the command line. An error is one line on standard error and exit code 2, never a traceback of values."""
    # A reader that went away (`| head`) ends us as it ends any filter.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _open_standard_streams()
    try:
        code = app()(standalone_mode=False)
        sys.stdout.flush()
    except TyperException as exc:
        said = exc.format_message()
        _end(f"{said} See --help." if said else "")  # without a message the help was printed
    except Abort:
        _end("ended")
    except FilterproxyError as exc:
        _end(str(exc))
    except OSError as exc:
        _end(exc.strerror or type(exc).__name__)
    except Exception as exc:  # noqa: BLE001 - what is our fault must not read as "something is blocked", which is 1
        place = traceback.extract_tb(exc.__traceback__)[-1]
        _end(f"internal error: {type(exc).__name__} in {Path(place.filename).name}, line {place.lineno}")
    if code:
        sys.exit(code)


def _open_standard_streams() -> None:
    """Give the descriptors 0 to 2 something to be: a caller may have closed them."""
    for number, stream in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, stream) is None:
            while (opened := os.open(os.devnull, os.O_RDWR)) < number:
                pass
            setattr(sys, stream, os.fdopen(opened, "w" if number else "r"))


def _end(said: str) -> NoReturn:
    """Say why, and end with 2. Not sys.exit: nothing that was started or mapped is worth waiting for."""
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):
        if said:
            print(f"filterproxy: {said}", file=sys.stderr, flush=True)
    os._exit(2)
