"""`filterproxy run`, and its parts for machines that carry one role each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import DEFAULT_CONFIG, Config

if TYPE_CHECKING:
    from filterproxy.settings import Settings

Hints = Annotated[bool, typer.Option("--hints", help="Print what to try once everything serves.")]


def run(config: Config = DEFAULT_CONFIG, hints: Hints = False) -> None:
    """Run everything: DNS, proxy, portal, lists. Ends on SIGTERM or Ctrl-C."""
    _run(config, frozenset({"control", "edge", "inspector"}), hints=hints)


def control(config: Config = DEFAULT_CONFIG) -> None:
    """Run the portal, the lists and the store alone."""
    _run(config, frozenset({"control"}))


def edge(config: Config = DEFAULT_CONFIG) -> None:
    """Run DNS alone, with the bundle that lies in the state folder."""
    _run(config, frozenset({"edge"}))


def inspect(config: Config = DEFAULT_CONFIG) -> None:
    """Run the inspecting proxy alone, with the bundle that lies in the state folder."""
    _run(config, frozenset({"inspector"}))


def _run(config: Config, roles: frozenset[str], *, hints: bool = False) -> None:
    from filterproxy import app
    from filterproxy.settings import load

    settings = load(config)
    app.run(settings, roles, lambda: print(_hints(settings), flush=True) if hints else None, lambda: load(config))


def _hints(settings: Settings) -> str:
    """Return what to try against the sample lists."""
    from filterproxy.settings.base import split_address

    lines = ["", "filterproxy is ready. Try:", ""]
    samples = {item.id for item in settings.lists} >= {"sample-urls", "sample-court", "sample-domains"}
    if settings.dns.enabled and settings.dns.listen and samples:
        host, port = split_address(settings.dns.listen[0])
        lines.append(
            f"  dig @{host} -p {port} trap.example            a listed domain: NXDOMAIN, with the reason (EDE)"
        )
    if settings.gateway.enabled and samples:
        proxy = f"curl -x http://{settings.gateway.listen}"
        lines.append(f"  {proxy} -i http://pictures.example/albums/2041/page1.html   a listed page: the notice")
        lines.append(f"  {proxy} -i http://ordered.test/   what a court ordered: 451")
    if settings.portal.enabled:
        lines.append(
            f"  {settings.portal.url}/transparency      the public record;  /notice, /appeal, /appeal/status beside it"
        )
    if settings.console.enabled:
        lines.append(f"  http://{settings.console.listen}/                  the operator's page")
    if settings.metrics.enabled:
        lines.append(f"  http://{settings.metrics.listen}/metrics           for Prometheus")
    return "\n".join([*lines, "", "Ctrl-C ends it.", ""])
