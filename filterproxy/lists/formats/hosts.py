"""Hosts files (hosts(5)): `ADDRESS name [name…]`, and `#` begins a comment wherever it stands.

An address that leads nowhere (unspecified or loopback, however spelled) lists each name: EXACT, or with all below it
where the list says `subdomains = true`. Any other address is data of somebody's network, which we do not serve. The
names that a machine gives itself are passed over. Several names on a line are several entries, and one that is no
name leaves the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from filterproxy.core.model import BadLine, Entry, Item, Scope
from filterproxy.core.names import is_address

from .lines import Options, numbered
from .names import LOCAL, named, nowhere


def parse(lines: Iterable[bytes], options: Options) -> Iterator[Item]:
    """Yield what each line says: an item for each of its names, or one for the whole line."""
    for item in numbered(lines, options):
        if isinstance(item, BadLine):
            yield item
        else:
            yield from _line(*item, options)


def _line(number: int, text: str, options: Options) -> Iterator[Item]:
    address, *names = text.split("#", 1)[0].split()
    leads_nowhere = nowhere(address)
    if leads_nowhere is None:
        yield options.bad(number, "no address before the names", text)
    elif not names:
        yield options.bad(number, "no name after the address", text)
    else:
        yield from listed(names, number, options, whole=text, leads_nowhere=leads_nowhere)


def listed(names: Sequence[str], number: int, options: Options, *, whole: str, leads_nowhere: bool) -> Iterator[Item]:
    """Yield what the names after an address say: an item for each, or one for all where it leads somewhere."""
    scope = Scope.TREE if options.subdomains else Scope.EXACT
    for name in names:
        if name in LOCAL or name.lower() in LOCAL:
            continue
        if not leads_nowhere:
            yield options.unenforceable(number, "an address of its own: local data, which is not served", whole)
            return
        item = named(name, scope, number, options, whole=whole)
        if isinstance(item, Entry) and is_address(item.value):
            item = options.bad(number, "an address where a name belongs", whole)
        yield item
