"""`filterproxy top`: what the product does right now, as a table that moves. No address is on it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import DEFAULT_CONFIG, Config

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_MOST = 20


def top(
    config: Config = DEFAULT_CONFIG,
    once: Annotated[bool, typer.Option("--once", help="Print once and end.")] = False,
    seconds: Annotated[float, typer.Option(min=0.2, max=60, help="How often it moves.")] = 1.0,
) -> None:
    """Show processes and counts, live, until Ctrl-C."""
    from rich.console import Console
    from rich.live import Live

    from filterproxy.runtime.client import ask
    from filterproxy.settings import load

    state = load(config).runtime.state
    before = ask(state, {"do": "status"})
    if once:
        Console().print(_screen(before, before, 0))
        return
    with Live(_screen(before, before, 0), auto_refresh=False, screen=True) as live:
        then = time.monotonic()
        try:
            while True:
                time.sleep(seconds)
                status, now = ask(state, {"do": "status"}), time.monotonic()
                live.update(_screen(status, before, now - then), refresh=True)
                before, then = status, now
        except KeyboardInterrupt:
            return


def _screen(status: dict[str, Any], before: dict[str, Any], seconds: float) -> Group:
    from rich.console import Group

    head = f"filterproxy {status['version']}   bundle {status['generation']}   up {status['uptime']:.0f} s"
    events = _counts("event", status["counts"]["events"], before["counts"]["events"], seconds)
    verdicts = _counts("verdict", _named(status), _named(before), seconds)
    return Group(head, "", _processes(status), "", verdicts, "", events)


def _named(status: dict[str, Any]) -> dict[str, int]:
    return {f"{frontend} {outcome} {name}": n for name, frontend, outcome, n in status["counts"]["verdicts"]}


def _processes(status: dict[str, Any]) -> Table:
    table = _table("process", "state", "restarts", "up", "bundle")
    for item in status["processes"]:
        state = "serves" if item["ready"] else "down"
        table.add_row(item["name"], state, str(item["restarts"]), f"{item['uptime']:.0f} s", str(item["generation"]))
    return table


def _counts(what: str, counts: dict[str, int], before: dict[str, int], seconds: float) -> Table:
    table = _table(what, "total", "a second")
    for name, value in sorted(counts.items(), key=lambda item: -item[1])[:_MOST]:
        rate = (value - before.get(name, 0)) / seconds if seconds else 0.0
        table.add_row(name, f"{value:,}", f"{rate:,.0f}")
    return table


def _table(first: str, *others: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for other in others:
        table.add_column(other, justify="right")
    return table
