"""`filterproxy lists`: how lists stand, reading them again, and what a file says line by line."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from . import difference, dry_run, parse, quarantine, selftest
from .options import DEFAULT_CONFIG, Config, Json, printable


def app() -> typer.Typer:
    """Return the command group."""
    group = typer.Typer(no_args_is_help=True, help="Lists: their status, a refresh, what a file says.")
    for command in (status, refresh):
        group.command()(command)
    group.command()(difference.diff)
    group.command()(parse.parse)
    group.command()(selftest.selftest)
    group.command("dry-run")(dry_run.dry_run)
    group.command()(quarantine.quarantine)
    group.command()(quarantine.decide)
    return group


def status(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Show each list's age, size, refusals and how far it is enforced; exit 1 where one is refused or never loaded."""
    import json

    from filterproxy.runtime.client import ask
    from filterproxy.settings import load

    state = load(config).runtime.state
    rows = ask(state, {"do": "lists"})["lists"]
    zones = ask(state, {"do": "status"})["zones"]
    rows = [{**row, "zone": zones.get(row["id"])} for row in rows]
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
    rows = [row for row in reply["lists"] if not lists or row["id"] in lists]
    _table(rows)
    if any(row["state"] != "ok" for row in rows):
        raise typer.Exit(1)


_COLUMNS = (
    "id", "state", "format", "version", "size", "entries", "exact", "host", "none", "quarantined", "bad_lines",
    "refused", "age",
)  # fmt: skip
_WIDE = 200
"""Characters of a line at least: a narrow terminal folds it, but nothing is cut off."""


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column.replace("_", " "), no_wrap=True)
    for row in rows:
        said = {**row, "age": _age(row.get("loaded_at")), "size": _size(row.get("bytes", 0))}
        table.add_row(*(str(said.get(column, "")) for column in _COLUMNS))
    console = Console()
    console.width = max(console.width, _WIDE)
    console.print(table, markup=False)
    for row in rows:
        if row["reason"]:
            print(f"{row['id']}: {row['state']}: {printable(row['reason'])}")
        if zone := row.get("zone"):
            print(f"{row['id']}: zone: {_zone(zone)}")


def _zone(zone: dict[str, Any]) -> str:
    """Say how a list's zone stands, and how much of the list it cannot carry."""
    lost = ", ".join(f"{number} {kind}" for kind, number in zone["unenforceable"].items())
    return f"serial {zone['serial']}, {zone['records']} records, unenforceable: {lost or 'nothing'}"


def _size(count: int) -> str:
    """Say how large a list's segment is on disk."""
    return f"{count / 1024:.0f} KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MiB"


def _age(loaded_at: float | None) -> str:
    """Say how long ago a list was last read."""
    if loaded_at is None:
        return "never"
    minutes = max(0, int((time.time() - loaded_at) // 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
