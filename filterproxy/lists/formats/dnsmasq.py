"""Lines of dnsmasq's configuration (dnsmasq(8), as of version 2.90), an option a line; ` # comment` ends it.

`local=/name/`, `server=/name/`, `address=/name/`, and `address=/name/` with `#` or an address that leads nowhere, cover
each name (`/a/b/`) and what is below it; a leading dot makes no difference. Where `address` has IPv4 alone, versions
since 2.86 forward the other types: here the name is blocked, as publishers mean it. `server=/name/#` sends a name back
to the usual servers: an exception. `/*name/` is each host that ends so, within a label too, `/*.name/` what is below.
Another address is local data, a server is forwarding, all other options are something else again: unenforceable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from filterproxy.core.model import Action, BadLine, Item, Scope
from filterproxy.core.names import is_address

from .lines import Options, numbered
from .names import named, nowhere, searched, uncommented

_NAME = r"([a-z0-9_-][a-z0-9_.-]*[a-z])"
_TREE = re.compile(rf"(?:local|server)=/{_NAME}/|address=/{_NAME}/#?")
"""What nearly every line is."""
_OPTION = re.compile(r"([a-z0-9-]+)(?:\s*=\s*(.*))?")
_SERVERS = ("local", "server")


def parse(lines: Iterable[bytes], options: Options) -> Iterator[Item]:
    """Yield what each line says: an item for each of its names, or one for the whole line."""
    for item in numbered(lines, options):
        if isinstance(item, BadLine):
            yield item
        elif tree := _TREE.fullmatch(item[1]):
            yield named(tree[1] or tree[2], Scope.TREE, item[0], options, whole=item[1])
        else:
            yield from _line(*item, options)


def _line(number: int, text: str, options: Options) -> Iterator[Item]:
    option = _OPTION.fullmatch(uncommented(text))
    if option is None:
        yield options.bad(number, "not an option of dnsmasq", text)
        return
    key, value = option.groups()
    if key not in _SERVERS and key != "address":
        yield options.unenforceable(number, "an option that lists no names", text)
        return
    if value is None or not value.startswith("/"):
        if key in _SERVERS and value:
            yield options.unenforceable(number, "a server to forward to", text)
        else:
            yield options.bad(number, "no /name/", text)
        return
    *names, target = value[1:].split("/")
    action = _action(key, target, number, text, options)
    if not isinstance(action, Action):
        yield action
    elif not names:
        yield options.bad(number, "no / after the name", text)
    else:
        for name in names:
            yield _item(name, action, number, text, options)


def _action(key: str, target: str, number: int, text: str, options: Options) -> Action | Item:
    """Return what happens to the names of a line by what stands after them, or why nothing can."""
    if not target:
        return Action.BLOCK
    if key in _SERVERS:
        return Action.ALLOW if target == "#" else options.unenforceable(number, "a server to forward to", text)
    leads_nowhere = target == "#" or nowhere(target)
    if leads_nowhere is None:
        return options.bad(number, "not an address", text)
    if not leads_nowhere:
        return options.unenforceable(number, "an address of its own: local data, which is not served", text)
    return Action.BLOCK


def _item(name: str, action: Action, number: int, text: str, options: Options) -> Item:
    if name in ("#", "*"):
        return options.bad(number, "every name there is", text)
    if not name:
        return options.unenforceable(number, "names without a dot", text)
    if name.startswith("*."):
        return named(name[2:], Scope.BELOW, number, options, whole=text, action=action)
    wild = name.startswith("*")
    entry = named(name[1:] if wild else name.lstrip("."), Scope.TREE, number, options, whole=text, action=action)
    if isinstance(entry, BadLine):
        return entry
    if is_address(entry.value):
        return options.bad(number, "an address where a name belongs", text)
    if not wild:
        return entry
    if action is Action.ALLOW:
        # dnsmasq ranks by length; here an expression is the least specific of all, and would spare too little.
        return options.unenforceable(number, "an exception with a wildcard", text)
    return searched(f"{re.escape(entry.value)}$", Scope.HOST, number, options, whole=text)
