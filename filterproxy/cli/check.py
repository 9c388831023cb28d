"""`filterproxy check`: what would happen to these hosts and URLs, by the same decision that the frontends call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from .options import DEFAULT_CONFIG, Config, Json, Printer, printable, targets
from .quoting import quoted, quoted_or_null

if TYPE_CHECKING:
    from filterproxy.core.model import Verdict
    from filterproxy.core.policy import Policy


def check(
    target: Annotated[list[str], typer.Argument(help="URLs or hosts; - reads lines from standard input.")],
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
    client: Annotated[str, typer.Option(metavar="IP", help="Judge as this client's profile.")] = "",
    at: Annotated[str, typer.Option(metavar="TIME", help="Judge at this time (ISO 8601; UTC unless it says).")] = "",
) -> None:
    """Say what happens to hosts and URLs: exit 0 none blocked, 1 some blocked, 2 error.

    What is in force in the running product is asked; where none runs, what these settings would put in force.
    """
    from filterproxy import app
    from filterproxy.settings import load

    settings = load(config)
    now = _time(at)
    policy = app.policy_in_force(settings)
    judge = judging(policy, _profile(policy, client), now)
    printer, blocked, invalid = Printer(), False, False
    line = _json_line if as_json else _plain_line
    try:
        for text in targets(target, printer.flush):
            found, verdict = judge(text)
            invalid = invalid or verdict is None
            blocked = blocked or (verdict is not None and verdict.blocked)
            printer.line(line(text, found, verdict))
    finally:
        printer.flush()
    if invalid or blocked:
        raise typer.Exit(2 if invalid else 1)


def judging(policy: Policy, profile: str, now: datetime) -> Callable[[str], tuple[str | None, Verdict | None]]:
    """Return a function from a target to its canonical form and verdict: None where it is neither URL nor host."""
    from filterproxy.core.decide import decide
    from filterproxy.core.model import Connection, Request
    from filterproxy.core.names import host
    from filterproxy.core.urls import canonical

    def judge(text: str) -> tuple[str | None, Verdict | None]:
        name = None if "/" in text else host(text.strip())
        if name is not None:
            return name, decide(Connection(profile, name), policy, now)
        url = canonical(text)
        if url is None:
            return None, None
        return url.text, decide(Request(profile, "GET", url), policy, now)

    return judge


def _json_line(text: str, canonical: str | None, verdict: Verdict | None) -> str:
    if verdict is None:
        return f'{{"input": {quoted(text)}, "canonical": null, "action": "invalid", {_NOBODY}}}'
    head = f'{{"input": {quoted(text)}, "canonical": {quoted_or_null(canonical)}, "action": "{verdict.action}"'
    listing = verdict.listing
    if listing is None:
        return f"{head}, {_NOBODY}}}"
    kind = "unavailable" if verdict.match is None else verdict.match.kind.value
    spared = None if verdict.spared_by is None else spared_by(verdict)
    return (
        f'{head}, "list": {quoted(listing.id)}, "category": {quoted_or_null(listing.category or None)}, '
        f'"match": "{kind}", "spared_by": {quoted_or_null(spared)}}}'
    )


_NOBODY = '"list": null, "category": null, "match": null, "spared_by": null'


def _plain_line(text: str, canonical: str | None, verdict: Verdict | None) -> str:
    if verdict is None:
        return f"invalid  {printable(text)}"
    said = f"{verdict.action:<8} {canonical}"
    if verdict.listing is not None:
        said += f"  ({verdict.listing.title or verdict.listing.id}"
        said += f"; spared by {spared_by(verdict)})" if verdict.spared_by is not None else ")"
    return said


def spared_by(verdict: Verdict) -> str:
    """Say what spared: the override by its id, a profile, or a list (its own exception, or one that allows)."""
    by = verdict.spared_by
    if by is None:
        return ""
    return f"override:{by.reference}" if by.overrides else by.listing.id


def _time(text: str) -> datetime:
    if not text:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write a time such as 2026-01-31T18:00:00Z", param_hint="--at") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _profile(policy: Policy, client: str) -> str:
    """Return the client's profile; without a client that of this machine, else the first one."""
    found = policy.profile_of(client or "127.0.0.1")
    if found is None and client:
        raise typer.BadParameter("no profile serves this client", param_hint="--client")
    return found or policy.profiles[0]
