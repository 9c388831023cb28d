"""Domains that the operator or its customers own, and whether an entry falls on one of them. Pure.

A list has millions of entries and hardly one falls on a domain of ours: a miss costs two look-ups in sets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Self

import re2

from filterproxy.core.model import Entry, Kind, Scope
from filterproxy.core.names import suffixes
from filterproxy.settings import Settings

# A name inside an expression, from the beginning of a label on.
_WRITTEN = re.compile(r"(?:^|(?<=[.^|(:/@]))[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")


class Owned:
    """An immutable set of domains, canonical; each stands for itself and all below it."""

    def __init__(self, domains: Iterable[str]) -> None:
        """Take canonical names and addresses."""
        self._domains = tuple(dict.fromkeys(domains))
        self._all = frozenset(self._domains)
        self._tails = frozenset(map(_tail, self._domains))
        self._tops = frozenset(name for name in self._domains if "." not in name)
        below: dict[str, list[str]] = {}
        for name in self._domains:
            for parent in suffixes(name)[1:]:
                below.setdefault(parent, []).append(name)
        self._below = below
        self._text = "\n".join(self._domains)
        self.fingerprint = sha256(self._text.encode()).hexdigest()
        """Changes whenever the domains do."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the domains of `[alerts] domains`."""
        return cls(settings.alerts.domains)

    def __len__(self) -> int:
        """Return the number of domains; with none, nothing is ever hit."""
        return len(self._domains)

    def hit(self, entry: Entry) -> str | None:
        """Return the domain that `entry` falls on, or None.

        It is the one at or above the entry's host; for an entry that covers what is below its host, the first one
        there; for an expression, the first one that it names, or is found in. Keywords and hashes fall on none.
        """
        kind = entry.kind
        if kind is Kind.DOMAIN:
            host = entry.value
            found = self._at_or_above(host)
            if found is None and host in self._below and entry.scope is not Scope.EXACT:
                return self._first(self._below[host], entry.excludes)
            return found
        if kind is Kind.URL:
            return self._at_or_above(_host(entry.value))
        if kind is Kind.PATTERN and self._domains:
            return self._named(entry.value) or self._first(self._searched(entry), entry.excludes)
        return None

    def _at_or_above(self, host: str) -> str | None:
        last = host.rfind(".")
        # _tail, without the call: this is done millions of times.
        if host[host.rfind(".", 0, max(last, 0)) + 1 :] not in self._tails and host[last + 1 :] not in self._tops:
            return None
        return next((name for name in suffixes(host) if name in self._all), None)

    def _first(self, names: Sequence[str], excludes: Sequence[str]) -> str | None:
        """Return the first of `names` that a rule does not leave out."""
        if not excludes:
            return names[0] if names else None
        return next((name for name in names if not any(parent in excludes for parent in suffixes(name))), None)

    def _named(self, expression: str) -> str | None:
        """Return the domain that the expression holds as it is written, in whole labels."""
        text = expression.replace("\\", "").lower()
        return next((name for run in _WRITTEN.findall(text) if (name := self._at_or_above(run)) is not None), None)

    def _searched(self, entry: Entry) -> list[str]:
        """Return the domains in which the expression is found, as hosts or as the front page of one."""
        end = "/" if entry.scope is Scope.URL else ""
        options = re2.Options()
        options.log_errors = False  # or re2 prints the expression
        options.case_sensitive = False
        try:
            expression = re2.compile(entry.value, options)
            anywhere = re2.compile(f"(?m:{entry.value})", options)
        except re2.error:
            return []
        text = self._text if not end else self._text.replace("\n", "/\n") + end
        if anywhere.search(text) is None:  # one search over all, for nearly every expression is found in none
            return []
        return [name for name in self._domains if expression.search(name + end) is not None]


def _tail(name: str) -> str:
    """Return the last two labels."""
    return ".".join(name.split(".")[-2:])


def _host(url: str) -> str:
    """Return the host of `host[:port]path[?query]`."""
    authority = url.partition("/")[0]
    if authority[:1] == "[":
        return authority[: authority.find("]") + 1]
    return authority.partition(":")[0]
