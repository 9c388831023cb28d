"""Public suffixes: names directly under which everybody may register one, by the ICANN section of the Mozilla list.

The list comes with the package `publicsuffixlist`; its rules are spelled as all our hosts are. The private section
(hosting companies) is left out: a list may well mean such a site whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

from publicsuffixlist import PSLFILE

from filterproxy.core.names import host, is_address, suffixes

_BEGIN, _END = "// ===BEGIN ICANN DOMAINS===", "// ===END ICANN DOMAINS==="


@dataclass(frozen=True, slots=True)
class Suffixes:
    """The rules, ready to be asked of a name at a time."""

    names: frozenset[str]
    """Suffixes and whatever is above one."""
    wild: frozenset[str]
    """Names directly under which each name is a suffix (`*.ck`)."""
    exceptions: frozenset[str]
    """Names that a wildcard does not mean (`!www.ck`)."""
    digest: str

    @classmethod
    def icann(cls) -> Self:
        """Return the ICANN section of the list that is installed. Takes 20 ms."""
        text = Path(PSLFILE).read_text("utf-8")
        return cls.of(text.partition(_BEGIN)[2].partition(_END)[0])

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the rules of `text`, one a line (https://github.com/publicsuffix/list/wiki/Format)."""
        names, wild, exceptions = set[str](), set[str](), set[str]()
        for line in text.splitlines():
            rule = line.split()[0] if line.strip() else ""
            name = host(rule.removeprefix("!").removeprefix("*."))
            if name is None or rule.startswith("//"):
                continue
            if rule.startswith("!"):
                exceptions.add(name)
                continue
            if rule.startswith("*."):
                wild.add(name)
            names.update(suffixes(name))
        said = "\n".join([*sorted(names), "*", *sorted(wild), "!", *sorted(exceptions)])
        return cls(frozenset(names), frozenset(wild), frozenset(exceptions), sha256(said.encode()).hexdigest())

    def holds(self, name: str) -> bool:
        """Tell whether a canonical host is a public suffix or above one. A single label is, whatever it says."""
        if name in self.names:
            return True
        parent = name.partition(".")[2]
        if not parent:
            return not is_address(name)
        return parent in self.wild and name not in self.exceptions
