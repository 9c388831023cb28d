"""What one list says of names: of each that it names, and of all that lie below it.

It is core.decide, which judges one name, turned round: from the entries of one list and the overrides made for it to
all names of which they say something. tests/dns/transfer/test_zone.py holds the two together.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from filterproxy.core.cover import earlier
from filterproxy.core.membership import ALLOWS, IMPORTANT
from filterproxy.core.model import Action, DnsAnswer, Entry, Https, Kind, ListFormat, Listing, Scope
from filterproxy.core.names import is_address, suffixes
from filterproxy.core.regular import Rule, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

NOTHING, BLOCKED, DENIED, SPARED = range(4)
"""What is said: nothing; blocked; blocked with all that is below; not blocked, although what is above is."""

DEEPEST: Final = 16
"""Labels of a name at most that lies where more is said: what is between it and the name above costs records too."""

_EXACT, _BELOW, _TREE, _HOST = 1, 2, 4, 8
"""How a name is listed; _HOST: pages of it are, and the host stands for them."""
_SCOPES: Final = {Scope.EXACT: _EXACT, Scope.BELOW: _BELOW, Scope.TREE: _TREE}
# One number a name holds all that is said of it: what an entry does is by how much its scope is shifted.
_BLOCK, _STRONG_BLOCK, _ALLOW, _STRONG_ALLOW, _OVERRIDE = 0, 4, 7, 10, 13
_ALL: Final = (_BLOCK, _STRONG_BLOCK, _ALLOW, _STRONG_ALLOW, _OVERRIDE)
_NAMED, _LIMITED = 1 << 16, 1 << 17
"""That an entry for what is above excludes the name; that some entry for it excludes names."""
_SIMPLE: Final = _EXACT | _BELOW | _TREE | _HOST
_REACHING: Final = sum((_BELOW | _TREE) << shift for shift in _ALL) | _LIMITED
_AT_ONCE: Final = tuple(
    (BLOCKED if said & _EXACT else DENIED if said & _TREE else BLOCKED if said & _HOST else NOTHING,
     DENIED if said & (_BELOW | _TREE) else NOTHING)
    for said in range(16)
)  # fmt: skip
"""What follows for a name, and for all below it, where nothing else counts than how it is listed."""
_EXACT_NAME: Final = 1_000_000
_PLAIN: Final = Entry(Kind.DOMAIN, "", Scope.EXACT)[8:]
_BEYOND: Final = {Kind.KEYWORD: "keyword", Kind.HASH: "hash", Kind.URL: "url"}


class Coverage:
    """What a list says of names in DNS at one moment, as far as that can be said of names at all."""

    def __init__(self, listing: Listing, territory: frozenset[str], now: datetime) -> None:
        """Nothing is said yet."""
        self._listing, self._territory, self._now = listing, territory, now
        self._flat = listing.format is ListFormat.ADBLOCK
        self._hosts = listing.https is Https.BLOCK_HOST
        self._sites = listing.www and listing.root_is_site
        self._said: dict[str, int] = {}
        self._above: set[str] = set()
        """Names below which something is excepted: NXDOMAIN would deny that too (RFC 8020)."""
        self._limited: dict[str, list[tuple[int, frozenset[str]]]] = {}
        self._spared: set[tuple[str, Scope]] = set()
        self._rules: list[Rule] = []
        self._excluding: dict[tuple[str, int], list[frozenset[str]]] = {}
        self._loose = False
        """Whether some exception is an expression: what it spares below a name cannot be told."""
        self._found = Rules(())
        self.unenforceable: Counter[str] = Counter()
        """How many entries cannot be said of names, by kind."""
        self.next_change: datetime | None = None
        """When validity next changes what counts."""

    def override(self, entries: Iterable[Entry]) -> None:
        """Take what overrides spare; before any entry of the list."""
        for entry in entries:
            if entry.kind is Kind.DOMAIN:
                self._domain(entry, _OVERRIDE)
            elif entry.kind is Kind.URL and self._counts(entry):
                self._spared.add((entry.value, entry.scope))

    def add(self, entries: Iterable[Entry]) -> None:
        """Take entries of the list."""
        said = self._said
        for entry in entries:
            kind, value, scope, action = entry[:4]
            if kind is Kind.DOMAIN:
                if action is Action.ALLOW or self._sites or entry[8:] != _PLAIN:
                    allow = action is Action.ALLOW
                    strong = _STRONG_ALLOW if allow else _STRONG_BLOCK
                    self._domain(entry, strong if entry.important else _ALLOW if allow else _BLOCK)
                else:
                    said[value] = said.get(value, 0) | _SCOPES[scope]
            elif self._counts(entry):
                self._other(entry)

    def _counts(self, entry: Entry) -> bool:
        """Tell whether an entry counts here and now, and note when that could change."""
        if entry.territories and not entry.territories & self._territory:
            return False
        if entry.not_before is not None and self._now < entry.not_before:
            self.next_change = earlier(self.next_change, entry.not_before)
            return False
        if entry.not_after is not None:
            if self._now >= entry.not_after:
                return False
            self.next_change = earlier(self.next_change, entry.not_after)
        return True

    def _domain(self, entry: Entry, shift: int) -> None:
        if shift >= _ALLOW:  # also where it does not count: so the answers have it
            self._above.update(suffixes(entry.value)[0 if entry.scope is Scope.BELOW else 1 :])
        for name in entry.excludes:
            self._above.update(suffixes(name)[1:])
        if not self._counts(entry):
            return
        both = self._sites and entry.scope is Scope.EXACT and not is_address(entry.value)
        for name in (entry.value, _other(entry.value)) if both else (entry.value,):
            scope = _SCOPES[entry.scope] << shift
            if entry.excludes:
                self._limited.setdefault(name, []).append((scope, frozenset(entry.excludes)))
                scope = _LIMITED
            self._said[name] = self._said.get(name, 0) | scope
        for name in entry.excludes:
            self._said[name] = self._said.get(name, 0) | _NAMED

    def _other(self, entry: Entry) -> None:
        allows = entry.action is Action.ALLOW
        if entry.kind is Kind.PATTERN:
            self.unenforceable["exception" if allows else "pattern"] += 1
            if entry.scope is Scope.HOST:
                code = (ALLOWS if allows else 0) | (IMPORTANT if entry.important else 0)
                self._rules.append(Rule(entry.value, code))
                self._excluding.setdefault((entry.value, code), []).append(frozenset(entry.excludes))
                self._loose |= allows
        elif entry.kind is Kind.URL and self._hosts:
            if not allows and (entry.value, entry.scope) not in self._spared:
                host = _host_of(entry.value)
                for name in (host, _other(host)) if self._listing.www else (host,):
                    self._said[name] = self._said.get(name, 0) | _HOST
        elif not allows:
            self.unenforceable[_BEYOND[entry.kind]] += 1

    def names(self) -> Iterator[tuple[str, int, int]]:
        """Yield each name of which something must be said, with what is said of it and of all below it; in order.

        It holds whether the nearest name above speaks for what is not named (as some resolvers read a zone) or names
        hide from what is above also all below them (RFC 4592, section 2.2.2): of whatever lies between two names, the
        upper speaking for all below it, both are said.
        """
        self._found = Rules(self._rules) if self._loose else Rules(())
        special = self._special()
        said, at_once = self._said, [(self._as_said(name), self._as_said(below)) for name, below in _AT_ONCE]
        for name in sorted([*said, *(name for name in special if name not in said)]):
            found = special.get(name)
            itself, below = at_once[said[name]] if found is None else found
            if itself or below:
                yield name, itself, below

    def _special(self) -> dict[str, tuple[int, int]]:
        """Return what is said of names where more counts than how they are listed, and of those between them."""
        found: dict[str, tuple[int, int]] = {}
        said, hidden = self._said, self._above
        for name, own in said.items():
            if not (own & ~_SIMPLE or self._loose or name in hidden):
                at = name.find(".")
                while at >= 0:
                    if said.get(name[at + 1 :], 0) & _REACHING:
                        break
                    at = name.find(".", at + 1)
                else:
                    continue  # nearly all names
            self._weigh(name, found)
        for name in hidden - said.keys():
            if name.count(".") < DEEPEST:
                self._weigh(name, found)
        return found

    def _weigh(self, name: str, found: dict[str, tuple[int, int]]) -> None:
        chain = suffixes(name)
        if len(chain) > DEEPEST:
            self.unenforceable["name"] += 1
            found[name] = NOTHING, NOTHING
            return
        inherited = self._judged(chain[1:], named=False)
        itself, below = self._judged(chain, named=True), self._judged(chain, named=False)
        if itself == below == inherited:
            found.setdefault(name, (NOTHING, NOTHING))  # unless it lies above one that was weighed before
            return
        found[name] = _over(itself, inherited), _over(below, inherited)
        for at in range(1, len(chain)):
            if (inherited := self._judged(chain[at + 1 :], named=False)) == NOTHING:
                return
            if found.get(chain[at], (NOTHING, NOTHING)) != (NOTHING, NOTHING):
                return  # and so is what lies above it
            itself, below = self._judged(chain[at:], named=True), self._judged(chain[at:], named=False)
            found[chain[at]] = _over(itself, inherited), _over(below, inherited)

    def _judged(self, chain: Sequence[str], *, named: bool) -> int:
        """Return what is said of a name, given with all above it; or where not `named`, of one below that nobody names.

        As core.cover.Cover and core.decide do: the most specific counts, at a tie the exception.
        """
        block = allow = -1
        whole = False
        for shift, weight, all_below in self._hits(chain, named=named):
            if shift == _OVERRIDE:
                return NOTHING
            if shift in _ALLOWING:
                allow = max(allow, weight)
            elif weight > block:
                block, whole = weight, all_below
        if block < 0 or allow >= block:
            return NOTHING
        hidden = self._loose or (named and chain[0] in self._above)
        return self._as_said(DENIED if whole and not hidden else BLOCKED)

    def _hits(self, chain: Sequence[str], *, named: bool) -> Iterator[tuple[int, int, bool]]:
        """Yield what covers the name: what it does, how specific it is, and whether it covers all below too."""
        for at, name in enumerate(chain):
            said = self._said.get(name, 0)
            if said & _LIMITED:
                for scope, excludes in self._limited[name]:
                    said |= scope if excludes.isdisjoint(chain) else 0
            for shift in _ALL if said else ():
                for scope, specific, all_below in _REACH if named and not at else _REACH_BELOW:
                    if said >> shift & scope:
                        weight = (shift in _STRONG) if self._flat else specific or len(name)
                        yield shift, weight, all_below
        if named:
            for rule in self._found.find(chain[0]):
                if any(excludes.isdisjoint(chain) for excludes in self._excluding[rule.expression, rule.code]):
                    yield _ALLOW if rule.code & ALLOWS else _BLOCK, bool(rule.code & IMPORTANT and self._flat), False
            if self._said.get(chain[0], 0) & _HOST:
                yield _BLOCK, not self._flat, False

    def _as_said(self, what: int) -> int:
        """Return what is said where something would be denied with all below: by most lists that it is blocked."""
        denies = self._listing.dns is DnsAnswer.NXDOMAIN and not self._loose
        return BLOCKED if what == DENIED and not denies else what


_STRONG: Final = (_STRONG_BLOCK, _STRONG_ALLOW)
_ALLOWING: Final = (_ALLOW, _STRONG_ALLOW)
_REACH: Final = ((_EXACT, _EXACT_NAME + 1, False), (_TREE, _EXACT_NAME, True))
_REACH_BELOW: Final = ((_BELOW | _TREE, 0, True),)
"""Which scopes reach the name itself, and names below it: how specific (0: as long as the name is), whether whole."""


def _over(what: int, inherited: int) -> int:
    """Return what must be said of a name where what is above it says `inherited`."""
    return SPARED if what == NOTHING and inherited != NOTHING else what


def _host_of(value: str) -> str:
    """Return the host of a URL entry's value."""
    authority = value.partition("/")[0]
    host, colon, port = authority.rpartition(":")
    return host if colon and port.isdigit() else authority


def _other(host: str) -> str:
    """Return a host with `www.` put on, or taken off where it has it."""
    return host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"
