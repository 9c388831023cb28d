"""The guard: which entries of a list would block what no list should block before people have decided it.

It guards three sorts of names, each a word of a list's `guard`: the operator's `own` domains, `top-sites`, and public
`suffixes`. Whoever meets a hit holds that one entry back (quarantine), never the list. Immutable; for any thread.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

import numpy as np

from filterproxy.core.model import Action, Entry, Https, Item, Kind, Listing, Scope
from filterproxy.core.names import host, is_address, suffixes
from filterproxy.errors import ConfigError
from filterproxy.settings import Settings

from .searched import Searched
from .suffixes import Suffixes
from .top_sites import TopSites
from .top_sites import check as check_sites

log = logging.getLogger("filterproxy.lists")

OWN: Final = "own"
TOP_SITES: Final = "top-sites"
SUFFIXES: Final = "suffixes"

_WORDS: Final = {
    OWN: "one of the operator's own domains",
    TOP_SITES: "one of the top sites",
    SUFFIXES: "a public suffix",
}
# A member of an enumeration costs more to look up than to compare.
_BLOCK, _DOMAIN = Action.BLOCK, Kind.DOMAIN

_ALONE: Final = 2_000
"""Top sites and suffixes in which an expression is searched that comes alone (5 ms); `sift` searches in far more."""
_SLOTS: Final = 8
"""Slots of the table of marks for each name; of two marks a name, so that one in thirty is looked at in vain."""
_SECOND: Final = 32
"""Bits of a hash that its second mark does without."""

Stamp = tuple[int, int, int] | None
"""What tells one version of a file from another: inode, time of its last change, size. None: it is away."""


class Guard:
    """What is guarded, and the question whether an entry would block it whole."""

    __slots__ = (
        "_above_own",
        "_below",
        "_ends",
        "_marks",
        "_mask",
        "_own",
        "_searched",
        "_sites",
        "_stamp",
        "_suffixes",
        "fingerprint",
    )

    def __init__(self, own: Iterable[str], sites: TopSites, icann: Suffixes, stamp: Stamp = None) -> None:
        """Guard these names, all canonical."""
        self._own, self._sites, self._suffixes, self._stamp = frozenset(own), sites, icann, stamp
        ours = sorted(self._own)
        self._above_own = _above(ours)
        self._below = self._own | icann.wild
        self._ends = frozenset(name.rpartition(".")[2] for name in self._below)
        self._searched = Searched(ours, sites, icann)
        self._marks = _marked([*icann.names, *ours, *self._above_own], sites)
        self._mask = len(self._marks) - 1
        said = "\n".join([*ours, sites.digest, icann.digest])
        self.fingerprint = sha256(said.encode()).hexdigest()[:32]
        """32 hex digits that change whenever what is guarded does."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the guard of a configuration. Raises ConfigError, also where `operator.top_sites` cannot be read."""
        path = settings.operator.top_sites
        stamp = None if path is None else _stamp(path)
        sites = TopSites() if path is None else TopSites.read(path)
        return cls(_own(settings), sites, Suffixes.icann(), stamp)

    def renewed(self, settings: Settings) -> Guard:
        """Return the guard over the file of top sites as it is now; this one where the file has not changed.

        A file that has gone or turned bad leaves the last sites guarded; that is logged, once for each change.
        """
        path = settings.operator.top_sites
        stamp = None if path is None else _stamp(path)
        if path is None or stamp == self._stamp:
            return self
        try:
            sites = TopSites.read(path)
        except ConfigError as exc:
            log.error("%s; the %d sites read before stay guarded", exc, len(self._sites))
            sites = self._sites
        return Guard(self._own, sites, self._suffixes, stamp)

    def hit(self, entry: Entry, listing: Listing, kinds: Sequence[str]) -> str | None:
        """Return why an entry is to be held back, or None where it would block nothing guarded whole. Never raises.

        `kinds` are the guards to ask. For a confidential list the reason names nothing: a name would be an entry.
        Called for every entry of lists of millions, and most often for nothing: 1 µs then.
        """
        if entry.action is not _BLOCK or listing.action is not _BLOCK:
            return None
        if entry.kind is not _DOMAIN:
            return self._other(entry, listing, kinds)
        if listing.www and listing.root_is_site:
            return self._site(entry, listing, kinds)
        if self._clear(entry.value):
            return None
        return self._said(self._found(entry.value, entry.scope, entry.excludes, kinds), listing)

    def sift(self, items: Iterable[Item], listing: Listing, kinds: Sequence[str]) -> Iterator[tuple[Item, str | None]]:
        """Yield each item with the reason why it is to be held back, patterns last.

        Patterns are gathered and searched together: in a million names at most, the most visited first, so that a
        list of many takes seconds (core.regular).
        """
        patterns: list[Entry] = []
        named, clear = not (listing.www and listing.root_is_site), self._clear
        for item in items:
            # First what nearly all lines are, a name that nothing guarded has to do with: `hit` without its call.
            if not isinstance(item, Entry) or (named and item[0] is _DOMAIN and clear(item[1])):
                yield item, None
            elif item.kind is Kind.PATTERN:
                patterns.append(item)
            else:
                yield item, self.hit(item, listing, kinds)
        found = self._searched.find(patterns, kinds) if listing.action is Action.BLOCK else {}
        for number, entry in enumerate(patterns):
            yield entry, self._said(found.get(number), listing)

    def _other(self, entry: Entry, listing: Listing, kinds: Sequence[str]) -> str | None:
        if entry.kind is Kind.PATTERN:
            return self._said(self._searched.find([entry], kinds, _ALONE).get(0), listing)
        if entry.kind is not Kind.URL:
            return None
        for name in _whole_hosts(entry, listing):
            if not self._clear(name) and (found := self._found(name, Scope.EXACT, (), kinds)):
                return self._said(found, listing)
        return None

    def _site(self, entry: Entry, listing: Listing, kinds: Sequence[str]) -> str | None:
        """Return what `hit` does of a list whose front pages are sites, each with `www.` put on or taken off."""
        names = _with_www(entry.value) if entry.scope is Scope.EXACT else (entry.value,)
        found = (self._found(name, entry.scope, entry.excludes, kinds) for name in names if not self._clear(name))
        return self._said(next(filter(None, found), None), listing)

    def _clear(self, name: str) -> bool:
        """Tell whether nothing guarded has to do with a name; False where that takes a closer look."""
        number = hash(name)
        if self._marks[number & self._mask] and self._marks[number >> _SECOND & self._mask]:
            return False
        at = name.rfind(".")
        if name[at + 1 :] not in self._ends:
            return at >= 0
        below, dot = self._below, name.find(".")
        at = dot
        while at >= 0:
            if name[at + 1 :] in below:
                return False
            at = name.find(".", at + 1)
        return dot >= 0

    def _found(
        self, name: str, scope: Scope, excludes: tuple[str, ...], kinds: Sequence[str]
    ) -> tuple[str, str] | None:
        """Return which guard a domain entry hits, and the guarded name."""
        if OWN in kinds and (own := self._own_hit(name, scope, excludes)):
            return OWN, own
        if SUFFIXES in kinds and self._suffixes.holds(name):
            return SUFFIXES, name
        if TOP_SITES in kinds and (site := self._site_hit(name, scope, excludes)):
            return TOP_SITES, site
        return None

    def _own_hit(self, name: str, scope: Scope, excludes: tuple[str, ...]) -> str | None:
        """Return the own domain at or below which the entry lies, or which lies below it."""
        for parent in suffixes(name):
            if parent in self._own:
                return parent
        if scope is Scope.EXACT:
            return None
        return next((own for own in self._above_own.get(name, ()) if not _spared(own, excludes)), None)

    def _site_hit(self, name: str, scope: Scope, excludes: tuple[str, ...]) -> str | None:
        """Return the top site that the entry covers. `www.` of a site is the site."""
        bare = name.removeprefix("www.")
        found: str | None = None
        if name in self._sites:
            found = f"www.{name}" if scope is Scope.BELOW else name
        elif bare in self._sites and scope is not Scope.BELOW:
            found = bare
        if found is not None and not _spared(found, excludes):
            return found
        # What an entry excludes is not looked for among the many below it: it is held back rather than passed.
        return None if scope is Scope.EXACT else self._sites.below(name)

    @staticmethod
    def _said(found: tuple[str, str] | None, listing: Listing) -> str | None:
        if found is None:
            return None
        guard, name = found
        return f"would block {_WORDS[guard]} whole" if listing.confidential else f"would block {name}, {_WORDS[guard]}"


def check(settings: Settings) -> None:
    """Raise ConfigError where the guard of a configuration could not be made. Keeps nothing, for the start."""
    for _ in _own(settings):
        pass
    if settings.operator.top_sites is not None:
        check_sites(settings.operator.top_sites)


def _own(settings: Settings) -> Iterator[str]:
    """Yield the operator's own domains and the portal's hosts. Raises ConfigError for what is no name."""
    for number, text in enumerate(settings.operator.domains):
        name = host(text)
        if name is None:
            raise ConfigError(f"operator.domains.{number}: not a domain name")
        yield name
    for text in (urlsplit(settings.portal.url).hostname or "", *settings.portal.names):
        if (name := host(text)) is not None:
            yield name


def _above(own: Iterable[str]) -> dict[str, list[str]]:
    """Return for each name above own domains these."""
    found: dict[str, list[str]] = {}
    for name in own:
        for parent in suffixes(name)[1:]:
            found.setdefault(parent, []).append(name)
    return found


def _marked(names: Sequence[str], sites: TopSites) -> bytes:
    """Return a table with two marks for each name, its length a power of two."""
    numbers = np.concatenate((np.fromiter(map(hash, names), np.int64, len(names)), sites.marks()))
    marks = np.zeros(1 << (_SLOTS * len(numbers)).bit_length(), np.uint8)
    for mark in (numbers, numbers >> _SECOND):
        marks[mark & (len(marks) - 1)] = 1
    return marks.tobytes()


def _whole_hosts(entry: Entry, listing: Listing) -> Iterator[str]:
    """Yield the hosts that a URL entry blocks whole, on whatever port."""
    slash = entry.value.find("/")
    front = slash == len(entry.value) - 1
    site = front and (entry.scope is Scope.PREFIX or (entry.scope is Scope.PAGE and listing.root_is_site))
    if not site and listing.https is not Https.BLOCK_HOST:
        return
    authority = entry.value[:slash] if slash >= 0 else entry.value
    name, colon, port = authority.rpartition(":")
    if not (colon and port.isdecimal()) or authority.endswith("]"):
        name = authority
    yield from _with_www(name) if listing.www and name else (name,)


def _with_www(name: str) -> tuple[str, ...]:
    """Return a host, and where it is a name the same with `www.` put on or taken off."""
    if is_address(name):
        return (name,)
    return name, name.removeprefix("www.") if name.startswith("www.") else f"www.{name}"


def _spared(name: str, excludes: tuple[str, ...]) -> bool:
    """Tell whether an entry leaves out a name, or one above it."""
    return bool(excludes) and any(parent in excludes for parent in suffixes(name))


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
