"""What every format that names hosts shares: from a name to its entry, or to the reason why it has none."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from filterproxy.core.model import Action, BadLine, Entry, Item, Kind, Scope
from filterproxy.core.names import host, is_address
from filterproxy.core.regular import BEYOND_RE2, fault

from .lines import Options, plain

LOCAL = frozenset({
    "localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost", "ip6-loopback", "ip6-localnet",
    "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts", "0.0.0.0",
    "localhost4", "localhost4.localdomain4", "localhost6", "localhost6.localdomain6",
})  # fmt: skip
"""Names that stand at the head of hosts files for the machine's own sake, and mean nothing in a list."""

_NOWHERE = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1"})
_PART = re.compile(r"[a-z0-9_-]*")


def named(
    text: str, scope: Scope, number: int, options: Options, *, whole: str = "", action: Action = Action.BLOCK
) -> Entry | BadLine:
    """Return the entry for the name `text` with `scope`; `whole` is the line it stood in.

    An address is only ever EXACT; a whole top-level domain is a bad line.
    """
    whole = whole or text
    name = host(text)
    if name is None or not plain(name):
        return options.bad(number, "not a domain name", whole)
    if is_address(name):
        if scope is Scope.BELOW:
            return options.bad(number, "nothing is below an address", whole)
        scope = Scope.EXACT
    elif "." not in name:
        return options.bad(number, "a whole top-level domain", whole)
    return Entry(Kind.DOMAIN, name, scope, action, line=number)


def searched(
    expression: str, scope: Scope, number: int, options: Options, *, whole: str, action: Action = Action.BLOCK
) -> Item:
    """Return the entry for a regular expression that is searched in the HOST or URL, in lower case."""
    reason = fault(expression)
    if reason == BEYOND_RE2:
        return options.unenforceable(number, reason, whole)
    if reason is not None:
        return options.bad(number, reason, whole)
    return Entry(Kind.PATTERN, expression, scope, action, line=number)


def uncommented(text: str) -> str:
    """Return a line without the comment (`#`) that follows white space."""
    if "#" not in text:
        return text
    return text.split(" #", 1)[0].split("\t#", 1)[0].rstrip()


def label(text: str) -> str | None:
    """Return the one spelling of a label, or None where `text` is none; `text` may be a part of one if it is ASCII."""
    if text.isascii():
        text = text.lower()
        return text if _PART.fullmatch(text) else None
    # Beside a name, or a label of digits would be read as an address.
    name = host(f"{text}.x")
    return name.removesuffix(".x") if name is not None and plain(name) else None


def nowhere(text: str) -> bool | None:
    """Tell whether an address leads nowhere: unspecified or loopback, in any spelling. None: `text` is no address."""
    if text in _NOWHERE:
        return True
    name = host(text.partition("%")[0])
    if name is None or not is_address(name):
        return None
    if name[0] != "[":
        four = IPv4Address(name)
        return four.is_loopback or four.is_unspecified
    six = IPv6Address(name[1:-1])
    inner = six.ipv4_mapped or six
    return inner.is_loopback or inner.is_unspecified
