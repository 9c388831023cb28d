"""Deciding an appeal: find what blocks its subject, spare exactly that, and take the appeal a step further.

An override spares the listing it was made for and no more than was asked about: the page, or the exact host where a
domain entry blocks. Blocking; called from threads of the control process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from filterproxy.core.appeals import State, approvals_needed, ends
from filterproxy.core.decide import decide
from filterproxy.core.model import Action, Connection, Entry, Kind, Match, Request, Scope
from filterproxy.core.names import host
from filterproxy.core.policy import EVERYONE, Policy
from filterproxy.core.urls import canonical
from filterproxy.errors import MoveError
from filterproxy.store import AppealRow, OverrideRow, Store

EXPIRES = timedelta(days=365)
"""How long an override lasts where nothing else is said."""

_STEPS = {
    "triage": State.TRIAGED, "forward": State.FORWARDED, "reject": State.REJECTED, "withdraw": State.WITHDRAWN,
    "grant": State.GRANTED,
}  # fmt: skip


Subject = Request | Connection
"""What an appeal may be about."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person wants to happen to an appeal."""

    receipt: str
    outcome: str
    """triage, forward, reject, withdraw or grant."""
    by: str
    note: str = ""
    answer: str | None = None
    """What the sender will read."""
    reference: str = ""
    """The authority's decision; needed for a mandatory list."""
    expires: timedelta = EXPIRES


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where an appeal stands after a decision."""

    state: State
    overrides: tuple[OverrideRow, ...] = ()

    @property
    def waits_for(self) -> int:
        """How many more people have to approve."""
        return max((row.needed - len(row.approved_by) for row in self.overrides), default=0)


def subject_of(text: str) -> Subject | None:
    """Return what an appeal is about: a request where it names a URL, a connection where a host; None for neither."""
    if "/" not in text:
        name = host(text)
        return None if name is None else Connection(EVERYONE.id, name)
    url = canonical(text)
    return None if url is None else Request(EVERYONE.id, "GET", url)


def blocking(subject: Subject, policy: Policy, now: datetime) -> list[Match]:
    """Return the match of each list that blocks or warns of `subject`, whoever subscribes to it, and is not spared."""
    found = []
    for listing in policy.listings:
        alone = Policy(policy.bundle, (listing,), territory=policy.territory)
        verdict = decide(subject, alone, now)
        if verdict.match is not None and verdict.spared_by is None and verdict.action in (Action.BLOCK, Action.WARN):
            found.append(verdict.match)
    return found


def entry_to_spare(subject: Subject, match: Match) -> Entry:
    """Return the narrowest entry that spares `subject` from `match`.

    A page that is blocked for its host's sake (`https = "block-host"`) is spared with that host: where only the host
    is seen, nothing narrower would let it through.
    """
    by_host = match.kind is Kind.DOMAIN or (match.kind is Kind.URL and "/" not in match.expression)
    if not isinstance(subject, Request) or by_host:
        name = subject.url.host if isinstance(subject, Request) else subject.host
        return Entry(Kind.DOMAIN, name, Scope.EXACT, Action.ALLOW)
    if match.kind is Kind.URL and match.scope in (Scope.PAGE, Scope.EXACT):
        return Entry(Kind.URL, match.expression, match.scope, Action.ALLOW)
    url = subject.url  # a whole directory is listed, or a word: the page that was asked about is spared, no other
    authority = url.host if url.port is None else f"{url.host}:{url.port}"
    return Entry(Kind.URL, f"{authority}{url.path}", Scope.PAGE, Action.ALLOW)


def carry_out(
    decision: Decision, store: Store, policy: Callable[[], Policy], put_in_force: Callable[[], None], now: datetime
) -> Outcome:
    """Do what `decision` says and return where the appeal stands.

    `put_in_force` returns once every process judges by the store's overrides; only then is an appeal granted.
    Raises MoveError where a rule forbids it, StoreError, and what `put_in_force` raises: what was approved stays so,
    and deciding again goes on from there. Where it is decided otherwise, what was approved ends with that step.
    """
    state = _STEPS.get(decision.outcome)
    if state is None:
        raise MoveError(f"decide one of: {', '.join(_STEPS)}")
    if state is State.REJECTED and not decision.answer:
        raise MoveError("say why with --reason: the person reads it")
    appeal = store.appeal(decision.receipt)
    if appeal is None:
        raise MoveError("there is no appeal with this receipt number")
    if appeal.state is State.RECEIVED and state not in (State.TRIAGED, State.WITHDRAWN):
        appeal = store.move(appeal.receipt, State.TRIAGED, decision.by, "", now)
    made: tuple[OverrideRow, ...] = ()
    if state is State.GRANTED:
        made = _approve(decision, appeal, store, policy(), now)
        if any(not row.approved for row in made):
            return Outcome(appeal.state, made)
        put_in_force()
    moved = store.move(appeal.receipt, state, decision.by, decision.note, now, answer=decision.answer)
    if any(row.revoked_at == now for row in store.override_rows(appeal.receipt)):
        put_in_force()
    return Outcome(moved.state, made)


def _approve(
    decision: Decision, appeal: AppealRow, store: Store, policy: Policy, now: datetime
) -> tuple[OverrideRow, ...]:
    """Return the overrides that grant `appeal`, each approved by who decides or, before, by enough others."""
    if appeal.state.closed:
        raise MoveError(f"an appeal that is {appeal.state.value} cannot become granted")
    made = [row for row in store.override_rows(appeal.receipt) if row.revoked_at is None and row.expires_at > now]
    needed = {listing.id: approvals_needed(listing) for listing in policy.listings}
    for row in made:
        if row.needed < needed.get(row.list_id, 0):
            raise MoveError(
                f"list {row.list_id} has become mandatory since this was approved: "
                f"revoke {row.id} (`filterproxy appeals revoke`), then decide again"
            )
    if made:
        return tuple(row if row.approved else store.approve_override(row.id, decision.by, now) for row in made)
    subject = subject_of(appeal.subject)
    matches = [] if subject is None else blocking(subject, policy, now)
    if subject is None or not matches:
        raise MoveError("no list in force blocks what this appeal is about: there is nothing to spare")
    return store.add_overrides(
        [(match.listing, entry_to_spare(subject, match)) for match in matches], by=decision.by, reason=decision.note,
        expires_at=ends(now, decision.expires), now=now, reference=decision.reference, receipt=appeal.receipt,
    )  # fmt: skip
