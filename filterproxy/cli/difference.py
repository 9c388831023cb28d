"""`filterproxy lists diff`: what reading lists now would change, before it takes force."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from .options import DEFAULT_CONFIG, Config, Json, printable

_COUNTS = ("before", "after", "added", "removed", "bad_lines", "unenforceable", "quarantined")


def diff(
    lists: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Lists; all where none is named.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
    names: Annotated[int, typer.Option(min=0, max=10_000, help="Names shown at most, added and removed each.")] = 20,
) -> None:
    """Read lists without putting them in force, and show what would change: names only of lists that are open.

    Exit 0 where all would be taken, 1 where one would be refused. The running product reads them.
    """
    import json

    from filterproxy.runtime.client import ask
    from filterproxy.settings import load

    request = {"do": "diff", "lists": lists or [], "names": names}
    rows = ask(load(config).runtime.state, request, timeout=600)["differences"]
    for row in rows:
        print(json.dumps(row) if as_json else "\n".join(_told(row)))
    if any(row["refused"] for row in rows):
        raise typer.Exit(1)


def _told(row: dict[str, Any]) -> Iterator[str]:
    counts = ", ".join(f"{row[name]} {name.replace('_', ' ')}" for name in _COUNTS if name in row)
    yield f"{row['id']}: {counts or 'not read'}"
    if row["refused"]:
        yield f"  would be refused: {printable(row['refused'])}"
    for sign, key in (("+", "added"), ("-", "removed")):
        found = row.get(f"{key}_names", ())
        yield from (f"  {sign} {_entry(entry)}" for entry in found)
        if len(found) < row.get(key, 0):
            why = "more" if row["open"] else "of a confidential list, not shown"
            yield f"  {sign} {row[key] - len(found)} {why}"


def _entry(entry: dict[str, str]) -> str:
    allow = " (exception)" if entry["action"] == "allow" else ""
    return f"{printable(entry['value'])} [{entry['kind']}, {entry['scope']}]{allow}"
