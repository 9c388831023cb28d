"""Domain lists: a name or address a line. A name covers itself and what is below it, unless the list says otherwise.

`*.name` covers only what is below; `.name` is the same as `name` with all below it. A trailing ` # comment` is
ignored. Whatever else a line holds (a path, a port, a second word) makes it a bad line, never a wider entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from filterproxy.core.model import BadLine, Entry, Scope

from .lines import Options, numbered
from .names import named, uncommented


def parse(lines: Iterable[bytes], options: Options) -> Iterator[Entry | BadLine]:
    """Yield an entry or a bad line for each line that says something."""
    for item in numbered(lines, options):
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
