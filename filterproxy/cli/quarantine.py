"""`filterproxy lists quarantine` and `lists decide`: what the guard holds back, and people's decisions."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .options import DEFAULT_CONFIG, Config, Json, printable

_COLUMNS = ("id", "list", "line", "entry", "reason", "since", "approvals", "overdue")
_WHOLE = ("id", "list", "line")
"""Columns that are typed again, and never cut or folded to the width of a terminal."""
_LONG = 600.0
_WIDE = 200
"""Characters of a line where no terminal says how many there are."""


def quarantine(
    list_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="A list; all where none is named.")] = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Show which entries are held back because they would block sites of your own, top sites or suffixes whole.

    What they are is shown of open lists only. Exit 1 where one waits too long for a decision.
    """
    import json

    rows = _ask(config, {"do": "quarantine.list", "list": list_id})["held"]
    if as_json:
        for row in rows:
            print(json.dumps(row))
    else:
        _table(rows)
    if any(row["overdue"] for row in rows):
        raise typer.Exit(1)


def decide(
    held: Annotated[str, typer.Argument(metavar="HELD_ID", help="From `lists quarantine`; its beginning will do.")],
    decision: Annotated[str, typer.Argument(metavar="release|keep", help="release: it may block; keep: it may not.")],
    config: Config = DEFAULT_CONFIG,
    note: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Decide what becomes of an entry in quarantine; a release is in force when this returns.

    Of a mandatory list two people release it: two different Unix users, as the kernel names them.
    """
    request = {"do": "quarantine.decide", "id": held, "decision": decision, "note": note}
    print(_ask(config, request)["said"])


def _ask(config: Any, request: dict[str, Any]) -> dict[str, Any]:
    from filterproxy.runtime.client import ask
    from filterproxy.settings import load

    return ask(load(config).runtime.state, request, timeout=_LONG)


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    for row in rows:
        approvals = f"{len(row['approvals'])} of {row['needed']}"
        said = {
            **row, "id": row["id"][:8], "since": row["since"][:16].replace("T", " "),
            "entry": f"{row['kind']} {row['scope']} {row['value']}".rstrip(),
            "approvals": f"kept, {approvals}" if row["standing"] == "kept" else approvals,
            "overdue": "yes" if row["overdue"] else "",
        }  # fmt: skip
        table.add_row(*(printable(str(said[column])) for column in _COLUMNS))
    console = Console()
    if not console.is_terminal:
        console.width = _WIDE
    console.print(table, markup=False)
