"""`filterproxy lists`: how lists stand, reading them again, and what a file says line by line."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import DEFAULT_CONFIG, Config, Json, Printer

if TYPE_CHECKING:
    from filterproxy.core.model import Entry


def app() -> typer.Typer:
    """Return the command group."""
    group = typer.Typer(no_args_is_help=True, help="Lists: their status, a refresh, what a file says.")
    for command in (status, refresh, parse):
        group.command()(command)
    return group


def status(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Show each list's age, size, refusals and how far it is enforced; exit 1 where one is refused or never loaded."""
    import json

    from filterproxy.runtime.client import ask
    from filterproxy.settings import load

    rows = ask(load(config).runtime.state, {"do": "lists"})["lists"]
    if as_json:
        for row in rows:
            print(json.dumps(row))
    else:
        _table(rows)
    if any(row["state"] != "ok" for row in rows):
        raise typer.Exit(1)


def refresh(
    lists: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Lists; all where none is named.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    accept: Annotated[bool, typer.Option("--accept", help="Take a list although its size has changed much.")] = False,
) -> None:
    """Read lists again now; exit 1 where one is refused (the last one then stays in force)."""
    from filterproxy.runtime.client import ask
    from filterproxy.settings import load

    reply = ask(load(config).runtime.state, {"do": "refresh", "lists": lists or [], "accept": accept}, timeout=600)
    rows = reply["lists"]
    _table(rows)
    if any(row["state"] != "ok" for row in rows if not lists or row["id"] in lists):
        raise typer.Exit(1)


def parse(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    form: Annotated[str, typer.Option("--format", metavar="F", help="urls, domains or keywords.")],
) -> None:
    """Print a file's entries as JSON lines; bad lines go to standard error."""
    from filterproxy.core.model import Entry, ListFormat
    from filterproxy.errors import ConfigError
    from filterproxy.lists import sources
    from filterproxy.lists.formats import PARSERS, Options

    if form not in list(ListFormat):
        raise ConfigError(f"--format: {form} is none of {', '.join(ListFormat)}")
    printer = Printer()
    try:
        for item in PARSERS[ListFormat(form)](sources.lines(file), Options()):
            if isinstance(item, Entry):
                printer.line(_entry_line(item))
            else:
                print(f"{file}:{item.line}: {item.reason}" + (f": {item.text!r}" if item.text else ""), file=sys.stderr)
    finally:
        printer.flush()


def _entry_line(entry: Entry) -> str:
    from .quoting import quoted

    return (
        f'{{"kind": "{entry.kind}", "value": {quoted(entry.value)}, "scope": "{entry.scope}", '
        f'"action": "{entry.action}", "line": {entry.line}}}'
    )


_COLUMNS = ("id", "state", "entries", "exact", "host", "none", "bad_lines", "age", "reason")


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column.replace("_", " "))
    for row in rows:
        said = {**row, "age": _age(row.get("loaded_at"))}
        table.add_row(*(str(said.get(column, "")) for column in _COLUMNS))
    Console().print(table, markup=False)


def _age(loaded_at: float | None) -> str:
    """Say how long ago a list was last read."""
    if loaded_at is None:
        return "never"
    minutes = max(0, int((time.time() - loaded_at) // 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
