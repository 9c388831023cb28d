"""Domain lists: a name or address a line. A name covers itself and what is below it, unless the list says otherwise.

`*.name` covers only what is below; `.name` is the same as `name` with all below it. A trailing ` # comment` is
ignored. Whatever else a line holds (a path, a port, a second word) makes it a bad line, never a wider entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from filterproxy.core.model import BadLine, Entry, Kind, Scope
from filterproxy.core.names import host, is_address

from .lines import Options, numbered, plain


def parse(lines: Iterable[bytes], options: Options) -> Iterator[Entry | BadLine]:
    """Yield an entry or a bad line for each line that says something."""
    for item in numbered(lines, options):
        yield item if isinstance(item, BadLine) else _entry(*item, options)


def _entry(number: int, text: str, options: Options) -> Entry | BadLine:
    bare = text.split(" #", 1)[0].split("\t#", 1)[0].rstrip()
    scope = Scope.EXACT if options.subdomains is False else Scope.TREE
    if bare.startswith("*."):
        bare, scope = bare[2:], Scope.BELOW
    elif bare.startswith("."):
        bare, scope = bare[1:], Scope.TREE
    name = host(bare)
    if name is None or not plain(name):
        return options.bad(number, "not a domain name", text)
    if is_address(name):
        if scope is Scope.BELOW:
            return options.bad(number, "nothing is below an address", text)
        scope = Scope.EXACT
    elif "." not in name:
        return options.bad(number, "a whole top-level domain", text)
    return Entry(Kind.DOMAIN, name, scope, line=number)
