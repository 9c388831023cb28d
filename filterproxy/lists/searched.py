"""Regular expressions before the guard: in which of the guarded names each is found.

An expression stands for no name, so it is searched in all that are guarded, and in invented names under each public
suffix: what is found in these blocks nearly all names there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from filterproxy.core.model import Action, Entry, Scope
from filterproxy.core.regular import Rule, Rules, fault

from .suffixes import Suffixes
from .top_sites import MAX_SITES, TopSites

_LOOKS: Final = 400_000
"""Searches of a text for a part of the expressions at most: 200,000 sites for 500 expressions, in about a second; four
where none of a hundred has a literal."""
_PART: Final = 500
"""Expressions that one search looks for (core.regular)."""
# Two invented labels without a letter in common: what is found in both depends on neither.
_INVENTED: Final = ("zqkvx", "wjfhbuy")
_PATH: Final = "zqkvx/wjfh?b=uy"

Found = dict[int, tuple[str, str]]
"""The guard and the guarded name that each expression hits, by its number."""


class Searched:
    """The guarded names, for expressions to be searched in."""

    __slots__ = ("_own", "_sites", "_suffixes")

    def __init__(self, own: Sequence[str], sites: TopSites, icann: Suffixes) -> None:
        self._own, self._sites = own, sites
        # Top-level domains first: what is found below all of these blocks the most.
        self._suffixes = sorted(icann.names, key=lambda name: (name.count("."), name))

    def find(self, entries: Sequence[Entry], kinds: Sequence[str], most: int = MAX_SITES) -> Found:
        """Return which guard each pattern entry hits. Up to `most` top sites and suffixes are searched.

        The most visited and the shortest come first. An expression over URLs hits where it is found in a site's front
        page and in any other page of it.
        """
        usable = [
            (number, entry) for number, entry in enumerate(entries)
            if entry.action is Action.BLOCK and entry.scope in (Scope.HOST, Scope.URL) and fault(entry.value) is None
        ]  # fmt: skip
        found: Found = {}
        for scope in (Scope.HOST, Scope.URL):
            expressions = [Rule(entry.value, number) for number, entry in usable if entry.scope is scope]
            if expressions:
                most_here = min(most, _LOOKS // (2 * -(-len(expressions) // _PART)))
                self._search(_Search(Rules(expressions), scope), kinds, most_here, found)
        return found

    def _search(self, search: _Search, kinds: Sequence[str], most: int, found: Found) -> None:
        if "own" in kinds:
            for name in self._own:
                search.note(found, "own", name, search.found_in(name) | search.found_in(f"www.{name}"))
        if "suffixes" in kinds:
            one, other = _INVENTED
            for name in islice(self._suffixes, most):
                if numbers := search.found_in(f"{one}.{name}"):
                    search.note(found, "suffixes", name, numbers & search.found_in(f"{other}.{name}"))
        if "top-sites" in kinds:
            for name in islice(self._sites, most):
                search.note(found, "top-sites", name, search.found_in(name) | search.found_in(f"www.{name}"))


class _Search:
    """A list's expressions of one scope."""

    __slots__ = ("_rules", "_url")

    def __init__(self, rules: Rules, scope: Scope) -> None:
        self._rules, self._url = rules, scope is Scope.URL

    def found_in(self, name: str) -> set[int]:
        """Return the numbers of the expressions that block a name whole."""
        here = {rule.code for rule in self._rules.find(f"{name}/" if self._url else name)}
        if here and self._url:
            here &= {rule.code for rule in self._rules.find(f"{name}/{_PATH}")}
        return here

    @staticmethod
    def note(found: Found, guard: str, name: str, numbers: Iterable[int]) -> None:
        """Keep the first hit of each expression."""
        for number in numbers:
            found.setdefault(number, (guard, name))
