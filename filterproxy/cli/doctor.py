"""`filterproxy doctor`: asks the running product; a line per check, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import DEFAULT_CONFIG, Config, Json

if TYPE_CHECKING:
    from filterproxy.settings import Settings

    from .probes import Check

_LOW, _EMPTY = 500_000_000, 20_000_000
"""Bytes left on the state folder's disk: below the first a warning, below the second a failure."""


def doctor(
    config: Config = DEFAULT_CONFIG,
    quick: Annotated[
        bool, typer.Option("--quick", help="Ask the processes only; send nothing over the network.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check the running product: exit 0 where all is well, 1 with warnings, 2 where something fails.

    With --quick, a health check, exit 0 unless something fails, and then 1.
    """
    import json
    from dataclasses import asdict

    from filterproxy.settings import load

    worst = 0
    for check in checks(load(config), quick=quick):
        worst = max(worst, ("ok", "warn", "fail").index(check.level))
        if as_json:
            print(json.dumps(asdict(check)))
        else:
            advice = f" — {check.advice}" if check.advice and check.level != "ok" else ""
            print(f"{check.level:<5} {check.name}: {check.text}{advice}")
    raise typer.Exit(int(worst == 2) if quick else worst)


def checks(settings: Settings, *, quick: bool) -> Iterator[Check]:
    """Yield every check, as it is made."""
    from filterproxy.errors import ControlError
    from filterproxy.runtime.client import ask

    from . import probes, probes_encrypted
    from .probes import Check

    yield probes.keys(settings)
    try:
        status = ask(settings.runtime.state, {"do": "status"}, timeout=5)
    except ControlError as exc:
        yield Check("product", "fail", str(exc), "start it with filterproxy run")
        return
    yield Check("product", "ok", f"version {status['version']}, up for {status['uptime']:.0f} s")
    yield from _processes(status)
    yield from _lists(settings, status["report"])
    yield from _books(status)
    yield from _clients(status)
    if not quick:
        yield from probes.network(settings)
        yield from probes_encrypted.encrypted(settings)


def _processes(status: dict[str, Any]) -> Iterator[Check]:
    from .probes import Check, runs_as_root

    for process in status["processes"]:
        name = f"process {process['name']}"
        if not process["ready"]:
            yield Check(name, "fail", "does not serve", "the log says why; it is started again by itself")
        elif process["role"] != "control" and process["generation"] != status["generation"]:
            behind = f"judges by bundle {process['generation']}, in force is {status['generation']}"
            yield Check(name, "warn", behind, "ask again in a moment; if it stays, the log says why")
        elif runs_as_root(process["pid"]):
            yield Check(name, "warn", "runs as root", "set runtime.user to a user of its own")
        else:
            many = process["restarts"] > 5
            text = f"serves, {process['restarts']} restarts"
            yield Check(name, "warn" if many else "ok", text, "the log says what ended it")


def _lists(settings: Settings, report: dict[str, Any]) -> Iterator[Check]:
    from .probes import Check

    if not report:
        yield Check("lists", "warn", "control has said nothing yet", "ask again in a moment")
    closed = {table.id for table in settings.lists if table.on_failure == "closed"}
    for item in report.get("lists", ()):
        name, text = f"list {item['id']}", f"{item['entries']} entries"
        if item["stale"]:
            refuses = item["id"] in closed
            what = "never loaded or too old" + (": what it would judge is refused" if refuses else "")
            yield Check(name, "fail" if refuses else "warn", what, item["reason"] or "look at its source")
        elif item["state"] != "ok":
            yield Check(name, "warn", f"{text}; the last reading was refused", item["reason"])
        else:
            yield Check(name, "ok", text)


def _clients(status: dict[str, Any]) -> Iterator[Check]:
    from .probes import Check

    if status["one_client"]:
        advice = "let them reach us without NAT (in a container: host networking); if there is one device, all is well"
        yield Check("clients", "warn", "all questions come from one address: something hides who asks", advice)


def _books(status: dict[str, Any]) -> Iterator[Check]:
    from .probes import Check

    free, journal, report = status["free_bytes"], status["journal"], status["report"]
    if free is None:
        yield Check("disk", "warn", "the state folder's disk cannot be asked", "look at it")
    else:
        text, advice = f"{free // 1_000_000} MB left", "make room: lists, counts and appeals need it"
        yield Check("disk", "fail" if free < _EMPTY else "warn" if free < _LOW else "ok", text, advice)
    if error := report.get("bundle_error"):
        yield Check("bundle", "fail", f"cannot be written: {error}", "the last one stays in force; make room")
    failing = journal["failing"]
    text = "cannot be written" if failing else f"written; {journal['pending']} counts wait for the store"
    yield Check("journal", "fail" if failing else "ok", text, "make room; what is counted is kept in memory meanwhile")
    if report.get("store_up") is False:
        yield Check("store", "fail", "does not answer", "no appeal can be filed; filtering goes on")
    elif report.get("store_up"):
        overdue = report["appeals_overdue"]
        text = f"answers; {report['appeals_waiting']} appeals wait, {overdue} are overdue"
        yield Check("store", "warn" if overdue else "ok", text, "filterproxy appeals list")
