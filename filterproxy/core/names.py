"""One spelling per host, for lists, URLs and DNS names alike: the WHATWG parser's, less the trailing dot.

`idna` and the WHATWG parser disagree (`a_b.example`, `☃.example`), so only the latter is asked, here and in `urls`.
"""

from __future__ import annotations

import re

import can_ada

MAX_HOST = 253
"""Characters of a host name at most (RFC 1035, section 2.3.4, less the length octets)."""

PLAIN = re.compile(r"(?!.*xn--)(?:[a-z0-9_-]+\.)*[a-z_-][a-z0-9_-]*")
"""What the parser would return unchanged: lower-case ASCII without punycode, not ending in a number."""

# What would end or change the host inside a URL, and `%`, which a URL unescapes and a name does not.
_FOREIGN = re.compile(r"[\x00-\x20/\\?#@%\[\]<>^|:\x7f]")


def host(text: str) -> str | None:
    """Return the one spelling of a host name or IP address, or None where `text` is neither.

    Lower-case, punycode, one trailing dot taken off; IPv4 in dotted decimal whatever its spelling, IPv6 compressed
    in brackets (given with or without them).
    """
    if len(text) <= MAX_HOST and PLAIN.fullmatch(text):
        return text
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
        if ":" not in text:
            return None
    if text.count(":") >= 2:
        text = f"[{text}]"
        if _FOREIGN.search(text[1:-1].replace(":", "")):
            return None
    elif not text or _FOREIGN.search(text):
        return None
    try:
        found: str = can_ada.parse(f"http://{text}/").hostname
    except (ValueError, TypeError):  # TypeError: lone surrogates
        return None
    return trimmed(found)


def trimmed(found: str) -> str | None:
    """Return a host of the WHATWG parser without its trailing dot; None where a label is empty or it is too long."""
    found = found.removesuffix(".")
    if not found or len(found) > MAX_HOST or found[0] == "." or ".." in found or found[-1] == ".":
        return None
    return found


def is_address(name: str) -> bool:
    """Tell whether a canonical host is an IPv4 or IPv6 address: no other ends in a digit's label or a bracket."""
    return name[-1] == "]" or (name[-1].isdigit() and name.rpartition(".")[2].isdigit())


def suffixes(name: str) -> tuple[str, ...]:
    """Return a canonical host and each parent, the longest first; an address has no parent."""
    if is_address(name):
        return (name,)
    found = [name]
    at = name.find(".")
    while at >= 0:
        found.append(name[at + 1 :])
        at = name.find(".", at + 1)
    return tuple(found)
