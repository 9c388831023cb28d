"""The nouns: what a list says (Entry), who says it (Listing), what is asked (Subject), what follows (Verdict).

All are frozen; a Verdict's `blocked` and `action` are derived from the match and what spared it, so that the
answer and the reason given to a person cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .urls import Url


class Action(StrEnum):
    """What a list, an entry or a verdict asks for."""

    ALLOW = "allow"
    BLOCK = "block"
    INSPECT = "inspect"
    FLAG = "flag"
    WARN = "warn"
    REWRITE = "rewrite"


class Kind(StrEnum):
    """What sort of entry matched. Schedules, services and hashes get their rooms when their issue comes."""

    DOMAIN = "domain"
    URL = "url"
    PATTERN = "pattern"
    KEYWORD = "keyword"
    HASH = "hash"
    SCHEDULE = "schedule"
    UNAVAILABLE = "unavailable"


class Scope(StrEnum):
    """What an entry covers.

    Domains: EXACT that name, BELOW what is under it, TREE both. URLs: PAGE that path with any query, EXACT that
    path and query, PREFIX everything below a path ending in `/`. Keywords: WORD, SUBSTRING, QUERY_TERM. Patterns are
    searched in the HOST, or in the URL less its scheme. Hashes are EXACT, or as near as a PDQ hash allows: NEAR.
    """

    EXACT = "exact"
    BELOW = "below"
    TREE = "tree"
    PAGE = "page"
    PREFIX = "prefix"
    WORD = "word"
    SUBSTRING = "substring"
    QUERY_TERM = "query-term"
    HOST = "host"
    URL = "url"
    NEAR = "near"


class Basis(StrEnum):
    """On what ground a list blocks; it chooses the HTTP status (RFC 7725) and the EDE code (RFC 8914)."""

    LAW = "law"
    COURT = "court"
    VOLUNTARY = "voluntary"
    SUBSCRIBER = "subscriber"

    @property
    def legal_demand(self) -> bool:
        """Whether 451 may be said: only for what a law or a court demands."""
        return self in (Basis.LAW, Basis.COURT)


class Https(StrEnum):
    """What a list wants where only the host of an https URL can be seen."""

    PASS = "pass"  # noqa: S105 - a policy, not a password
    INSPECT = "inspect"
    BLOCK_HOST = "block-host"


class DnsAnswer(StrEnum):
    """How a blocked name is answered. NXDOMAIN becomes NODATA where something below the name is not blocked."""

    NXDOMAIN = "nxdomain"
    NODATA = "nodata"
    NULL = "null"
    REFUSED = "refused"
    NOTICE = "notice"


class OnFailure(StrEnum):
    """What happens where a list never loaded or is older than its `max_age`."""

    OPEN = "open"
    CLOSED = "closed"


class ListFormat(StrEnum):
    """The forms in which a list may come; `lists/formats/` has a file for each."""

    URLS = "urls"
    DOMAINS = "domains"
    WILDCARD = "wildcard"
    HOSTS = "hosts"
    ADBLOCK = "adblock"
    SQUIDGUARD = "squidguard"
    RPZ = "rpz"
    DNSMASQ = "dnsmasq"
    CSV = "csv"
    KEYWORDS = "keywords"
    HASHES = "hashes"


class Entry(NamedTuple):
    """One line of a list, understood: it covers what `scope` says of `value`, and nothing beside it.

    `value` is canonical: a host for domains, `host[:port]path[?query]` for URLs, the folded term for keywords, an
    expression of re2 for patterns, `algorithm:hex` for hashes.
    """

    kind: Kind
    value: str
    scope: Scope
    action: Action = Action.BLOCK
    line: int = 0
    scheme: str = ""
    """The scheme as written, if any. It is no part of a match; it tells how far the entry can be enforced."""
    score: int = 1
    reference: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None
    territories: frozenset[str] = frozenset()
    important: bool = False
    """Of an AdBlock rule: it beats exceptions that are not."""
    excludes: tuple[str, ...] = ()
    """Of an AdBlock rule: hosts that it does not cover, nor what is below them."""

    def __repr__(self) -> str:
        """Hide the value: an entry may be secret, and representations end up in logs."""
        return f"Entry({self.kind}, …, {self.scope}, {self.action}, line={self.line})"


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that says nothing in its format. `text` is empty for a confidential list."""

    line: int
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Unenforceable:
    """A line that its format understands and we cannot enforce: it is counted, and never bent into another rule."""

    line: int
    reason: str
    text: str = ""


Item = Entry | BadLine | Unenforceable
"""What a line of a list says."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What the operator configured of one list: who answers for it and how its blocks are given."""

    id: str
    title: str = ""
    authority: str = ""
    category: str = ""
    basis: Basis = Basis.VOLUNTARY
    opt_out: bool = False
    confidential: bool = False
    mandatory: bool = False
    action: Action = Action.BLOCK
    format: ListFormat | None = ListFormat.URLS
    """None: whatever its source turns out to be."""
    https: Https = Https.PASS
    root_is_site: bool = False
    www: bool = False
    on_failure: OnFailure = OnFailure.OPEN
    max_age: timedelta | None = None
    dns: DnsAnswer = DnsAnswer.NXDOMAIN
    http_status: int = 403
    ede: int = 15
    appeal: str = ""
    """Where the list's owner hears appeals: a URL or an e-mail address; empty where we decide alone."""


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that covers a subject, with the list that holds it.

    `expression` is what was looked up; it may be a listed address, so it is left out of the representation.
    `covers_below` tells that every name below the subject is covered too and no exception lies there (RFC 8020).
    """

    listing: Listing
    kind: Kind
    scope: Scope
    action: Action
    expression: str = field(repr=False)
    reference: str = ""
    covers_below: bool = False
    score: int = 0
    overrides: bool = False
    """Whether this is an override, `reference` its id, rather than an entry of the list."""


@dataclass(frozen=True, slots=True)
class Question:
    """A DNS question."""

    profile: str
    name: str = field(repr=False)
    rtype: str = "A"


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request whose URL was seen, in clear or inside inspected TLS."""

    profile: str
    method: str
    url: Url = field(repr=False)

    @property
    def host(self) -> str:
        """The URL's host."""
        return self.url.host


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection of which only a host is known: CONNECT, SNI, or an address."""

    profile: str
    host: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Body:
    """A body known by its hashes, as `algorithm:hex`. No list holds hashes yet."""

    profile: str
    hashes: tuple[str, ...] = field(repr=False)


Subject = Question | Request | Connection | Body


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to a subject, and the listings that say so.

    `match` is the strongest listing that covers the subject, spared or not; `spared_by` names what spares it.
    `unavailable` is a fail-closed list that could not judge. `inspect` tells that listed URLs of an inspected list
    live on this host. `valid_until` is the next moment at which a validity, an override or a list's age could
    change the verdict. Whatever remembers a verdict honours it.
    """

    match: Match | None = None
    spared_by: Match | None = None
    unavailable: Listing | None = None
    inspect: bool = False
    valid_until: datetime | None = None

    @property
    def action(self) -> Action:
        """The one thing to do."""
        if self.unavailable is not None:
            return Action.BLOCK
        if self.match is not None and self.spared_by is None and self.match.action is not Action.ALLOW:
            if self.match.action is Action.FLAG and self.inspect:
                return Action.INSPECT
            return self.match.action
        return Action.INSPECT if self.inspect else Action.ALLOW

    @property
    def blocked(self) -> bool:
        """Whether the subject is refused, by a listing or because a fail-closed list could not judge."""
        return self.action is Action.BLOCK

    @property
    def listing(self) -> Listing | None:
        """The list that answers for this verdict, first by rank, then by order in the configuration."""
        if self.unavailable is not None:
            return self.unavailable
        return self.match.listing if self.match is not None else None
