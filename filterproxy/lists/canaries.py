"""Canaries: entries that can be nobody's, in a segment of their own beside each list's, for the self-test to ask for.

They are judged by the list's settings and rank right behind it, and what they count is not the list's. Each name is a
MAC under the installation's digest key, so nobody else can ask for it; it lies below `invalid`, which never exists
(RFC 6761, section 6.4), and stays the same for as long as the key does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Final

from filterproxy.core.bundle import CANARY, CANARY_ZONE
from filterproxy.core.model import Action, Entry, Kind, ListFormat, Scope
from filterproxy.core.policy import companion
from filterproxy.settings import Settings
from filterproxy.settings.lists import List

from .compile import Compiled, compile_segment

SEGMENTS: Final = 240
"""Segments of a bundle at most, canaries being made only where there is room: processes are handed 250 descriptors."""

_URLS: Final = frozenset({ListFormat.URLS, ListFormat.SQUIDGUARD, None})
_NO_NAMES: Final = frozenset({ListFormat.URLS, ListFormat.KEYWORDS, ListFormat.HASHES})
_EXCEPTIONS: Final = frozenset({ListFormat.ADBLOCK, ListFormat.RPZ})


@dataclass(frozen=True, slots=True)
class Canaries:
    """What the canaries of one list are called. Empty is what its format cannot say."""

    name: str = field(default="", repr=False)
    """A listed name."""
    whole: bool = False
    """Whether what is below the name is listed with it."""
    page: str = field(default="", repr=False)
    """A listed page, as `host/path`."""
    excepted: str = field(default="", repr=False)
    """A name that the list excepts, below one that it lists."""
    term: str = field(default="", repr=False)
    """A listed word."""
    spares: bool = False
    """Whether the list's action is allow: then what is listed is spared, and other lists' canaries hold it."""

    @property
    def entries(self) -> Iterator[Entry]:
        """What the list's companion says."""
        scope = Scope.TREE if self.whole else Scope.EXACT
        if self.name:
            yield Entry(Kind.DOMAIN, self.name, scope)
        if self.page:
            yield Entry(Kind.URL, self.page, Scope.PAGE, scheme="http")
        if self.excepted:
            yield Entry(Kind.DOMAIN, self.excepted.partition(".")[2], Scope.TREE)
            yield Entry(Kind.DOMAIN, self.excepted, Scope.TREE, Action.ALLOW)
        if self.term:
            yield Entry(Kind.KEYWORD, self.term, Scope.WORD)


def canaries_of(table: List, key: bytes) -> Canaries:
    """Return the canaries of a list under the digest key."""
    if table.format is ListFormat.KEYWORDS:
        return Canaries(term=mac(table.id, "term", key))
    names = table.format not in _NO_NAMES or table.listing.root_is_site
    pages = table.format in _URLS
    if table.format is ListFormat.CSV:
        names, pages = bool(table.columns.domain), bool(table.columns.url or not table.columns.domain)
    hosts = table.format in (ListFormat.HOSTS, ListFormat.URLS)
    spares = table.resolved_action is Action.ALLOW
    return Canaries(
        name=name_of(table.id, "name", key) if names else "",
        whole=table.subdomains is True or (table.subdomains is None and not hosts),
        page=f"{name_of(table.id, 'page', key)}/{mac(table.id, 'path', key)}.html" if pages else "",
        excepted=f"x.{name_of(table.id, 'excepted', key)}" if table.format in _EXCEPTIONS and not spares else "",
        spares=spares,
    )


def canaried(settings: Settings, now: datetime) -> tuple[List, ...]:
    """Return the lists that have canaries: not those whose licence has ended, nor more than the bundle has room for."""
    own = sum(bool(profile.deny) + bool(profile.allow) for profile in settings.profiles)
    room = max(0, SEGMENTS - 2 * len(settings.lists) - own)  # each list may have overrides as well
    lists = (table for table in settings.lists if table.format is not ListFormat.HASHES)
    return tuple(table for table in lists if table.licence_until is None or now.date() <= table.licence_until)[:room]


def compile_canaries(settings: Settings, key: bytes, now: datetime) -> Iterator[Compiled]:
    """Yield a segment of canaries for each list that has some.

    What is to be spared by a list that allows must be blocked by another: each list that could holds it.
    """
    tables = canaried(settings, now)
    spared = [item for table in tables for item in _spared(canaries_of(table, key))]
    for table in tables:
        found = canaries_of(table, key)
        entries = [*found.entries, *(spared if blocks_spared(table, found) else ())]
        yield compile_segment(f"{CANARY}{table.id}", entries, key, companion(table.listing))


def blocks_spared(table: List, canaries: Canaries) -> bool:
    """Tell whether the list's canaries hold what lists that allow are to spare."""
    return bool(canaries.name) and not canaries.spares and not table.mandatory


def _spared(canaries: Canaries) -> Iterator[Entry]:
    if canaries.spares:
        for name in (canaries.name, canaries.page.partition("/")[0]):
            if name:
                yield Entry(Kind.DOMAIN, name, Scope.EXACT)


def name_of(list_id: str, role: str, key: bytes) -> str:
    """Return a name that nobody has and nobody else can know."""
    return f"{mac(list_id, role, key)}.{CANARY_ZONE}"


def mac(list_id: str, role: str, key: bytes) -> str:
    """Return 32 hex digits that follow from the key, the list's id and what they are for."""
    return blake2b(f"{list_id}\0{role}".encode(), digest_size=16, key=key, person=b"canary").hexdigest()
