"""Which processes a configuration asks for, by place; and which of its tables concern which of them. Pure."""

from __future__ import annotations

from typing import Any

from filterproxy.settings import Settings

_NOT_THE_INSPECTORS = frozenset({"dns", "console", "metrics", "store", "alerts", "mail"})


def places(settings: Settings, roles: frozenset[str]) -> list[tuple[str, str]]:
    """Return role and name of every process that `roles` and the settings ask for; control first."""
    found = [("control", "control")] if "control" in roles else []
    if "edge" in roles and (settings.dns.enabled or settings.gateway.enabled):
        found += [("edge", f"edge-{number}") for number in range(settings.runtime.workers)]
    if "inspector" in roles and settings.inspection.enabled and settings.gateway.enabled:
        found.append(("inspector", "inspector"))
    if "control" in roles and settings.dns.transfer.listen and any(table.rpz for table in settings.lists):
        found.append(("transfer", "transfer"))
    return found


def number_of(name: str) -> int:
    """Return which of the edge workers `edge-N` is."""
    return int(name.rpartition("-")[2])


def concerns_inspector(settings: Settings) -> dict[str, Any]:
    """Return what of the settings an inspector works by: where two configurations agree in it, one serves both."""
    return settings.model_dump(exclude={**dict.fromkeys(_NOT_THE_INSPECTORS, True), "runtime": {"workers"}})


def fixed(settings: Settings) -> dict[str, object]:
    """Return by its key what only a new start can change."""
    return {
        "runtime.state": settings.runtime.state,
        "runtime.user": settings.runtime.user,
        "keys.folder": settings.keys_folder,
    }
