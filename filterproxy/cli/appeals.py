"""`filterproxy appeals`: what people asked, and the decision."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .options import DEFAULT_CONFIG, Config, Json

Receipt = Annotated[str, typer.Argument(metavar="RECEIPT")]


def app() -> typer.Typer:
    """Return the command group."""
    group = typer.Typer(no_args_is_help=True, help="Appeals: list, show, decide; overrides: list, revoke.")
    group.command("list")(list_appeals)
    for command in (show, decide, overrides, revoke):
        group.command()(command)
    return group


def list_appeals(
    config: Config = DEFAULT_CONFIG,
    state: Annotated[str, typer.Option(help="Only those in this state.")] = "",
    as_json: Json = False,
) -> None:
    """List appeals, oldest first. What they are about is shown by `show` alone."""
    rows = _ask(config, {"do": "appeals.list", "state": state or None})["appeals"]
    _print(rows, ("receipt", "state", "created_at", "origin", "overdue"), as_json=as_json)


def show(receipt: Receipt, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Show one appeal: what it is about, what was said, what blocks it now. It may be distressing to read."""
    found = _ask(config, {"do": "appeals.show", "receipt": receipt})["appeal"]
    if as_json:
        _print([found], (), as_json=True)
        return
    for name, value in found.items():
        # One below the other, and nothing cut to the width of a terminal: this is what is decided upon.
        lines = [_line(item) for item in value] if isinstance(value, list) else _said(value).splitlines()
        for number, line in enumerate(lines or [""]):
            print(f"{'' if number else name.replace('_', ' '):<12} {line}".rstrip())


def decide(
    receipt: Receipt,
    decision: Annotated[str, typer.Argument(metavar="grant|reject|forward", help="What was decided.")],
    config: Config = DEFAULT_CONFIG,
    reason: Annotated[str, typer.Option(help="Why; the person may read it.")] = "",
    reference: Annotated[str, typer.Option(help="The authority's decision; needed for a mandatory list.")] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long the override is to last.")] = 365,
    by: Annotated[str, typer.Option(help="Who decides; kept beside the Unix user.")] = "",
) -> None:
    """Decide an appeal. `grant` spares what was asked for, and that alone, within a second.

    For a mandatory list two people decide: the first call notes an approval, the second one grants. Until there are
    accounts, two people who share a Unix user tell each other apart by --by, and that rests on their honesty.
    """
    request = {
        "do": "appeals.decide", "receipt": receipt, "decision": decision, "reason": reason, "reference": reference,
        "days": days, "by": by,
    }  # fmt: skip
    print(_ask(config, request)["said"])


def overrides(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """List the overrides in force."""
    rows = _ask(config, {"do": "overrides.list"})["overrides"]
    _print(rows, ("id", "list", "kind", "scope", "expires_at", "approved_by"), as_json=as_json)


def revoke(override: Annotated[str, typer.Argument(metavar="ID")], config: Config = DEFAULT_CONFIG) -> None:
    """End an override now."""
    print(_ask(config, {"do": "overrides.revoke", "id": override})["said"])


def _ask(config: Any, request: dict[str, Any]) -> dict[str, Any]:
    from filterproxy.runtime.client import ask
    from filterproxy.settings import load

    return ask(load(config).runtime.state, request)


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    import json

    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(_said(row.get(column)) for column in columns))
    Console().print(table, markup=False)


def _line(item: object) -> str:
    """Return a step, an override or a list's name as one line."""
    if not isinstance(item, dict):
        return _said(item)
    return " · ".join(f"{name.replace('_', ' ')} {_said(value)}" for name, value in item.items() if _said(value))


def _said(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
