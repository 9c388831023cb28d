"""Domain lists: a name or address a line. A name covers itself and what is below it, unless the list says otherwise.

`*.name` covers only what is below; `.name` is the same as `name` with all below it. A trailing ` # comment` is
ignored. Whatever else a line holds (a path, a port, a second word) makes it a bad line, never a wider entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from filterproxy.core.model import Action, BadLine, Entry, Kind, Scope
from filterproxy.core.names import MAX_HOST

from .lines import Options, numbered
from .names import named, uncommented

# A line as nearly all are: a name of two labels or more that is its own one spelling (core.names). Lists have millions
# of them, and so each is read by one match; `benchmarks/lists_compile.py` shows what that saves.
_USUAL: Final = re.compile(rb"(?!.*xn--)((?:[a-z0-9_-]+\.)+[a-z_-][a-z0-9_-]*)\r?\n?")


def parse(lines: Iterable[bytes], options: Options) -> Iterator[Entry | BadLine]:
    """Yield an entry or a bad line for each line that says something."""
    scope, usual = Scope.EXACT if options.subdomains is False else Scope.TREE, _USUAL.fullmatch
    kind, action = Kind.DOMAIN, Action.BLOCK
    for number, raw in enumerate(lines, 1):
        if len(raw) <= MAX_HOST and (found := usual(raw)) is not None:
            yield Entry(kind, found[1].decode(), scope, action, number)
            continue
        for item in numbered([raw], options, number):
            yield item if isinstance(item, BadLine) else entry(*item, options)


def entry(number: int, text: str, options: Options) -> Entry | BadLine:
    """Return the entry that a name as a domain list writes it means, or a bad line."""
    bare = uncommented(text)
    scope = Scope.EXACT if options.subdomains is False else Scope.TREE
    if bare.startswith("*."):
        bare, scope = bare[2:], Scope.BELOW
    elif bare.startswith("."):
        bare, scope = bare[1:], Scope.TREE
    return named(bare, scope, number, options, whole=text)
