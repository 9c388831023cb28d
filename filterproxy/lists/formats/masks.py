"""Masks of AdBlock-style DNS rules: from what stands before the modifiers to what it covers.

A mask is searched in the host. `||` stands for the start of a label, `|` for the start or end of the host, `^` for
its end (a host holds nothing that could part anything), `*` for any characters, dots too. What is exactly a name, a
tree, or all that is below a name becomes a domain entry, anything else an expression with the mask's exact meaning.
A path, a port or a scheme is no question of hosts, save `/*` at the end, which is any path.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from filterproxy.core.model import Action, Item, Scope
from filterproxy.core.names import host, is_address

from .lines import Options
from .names import label, named, searched

_STARTS = {"||": r"(?:^|\.)", "|": "^", "": ""}
_OF_URLS = re.compile(r"[/:?=&%]")
_STARS = re.compile(r"\*+")
_SPACE = re.compile(r"\s")


class _Mask(NamedTuple):
    """A mask without what stands at its ends."""

    start: str
    body: str
    ended: bool
    """Whether the host ends where the body does."""


def covered(mask: str, number: int, options: Options, *, whole: str, action: Action) -> Item:
    """Return what a mask covers."""
    parts = _split(mask)
    start, body, ended = parts
    if _SPACE.search(mask):
        return options.bad(number, "white space inside a rule", whole)
    if not body or len(mask) < 3:
        return options.bad(number, "a rule that covers everything", whole)
    address = host(body) if ended and start and ":" in body else None
    if address is not None and is_address(address):
        return named(body, Scope.EXACT, number, options, whole=whole, action=action)
    if _OF_URLS.search(body):
        return options.unenforceable(number, "a rule for URLs: only the host of a rule can be enforced", whole)
    if "^" in body:
        return options.unenforceable(number, "a rule for what follows a host", whole)
    if ended and "*" not in body:
        if start:
            scope = Scope.TREE if start == "||" else Scope.EXACT
            return named(_absolute(body), scope, number, options, whole=whole, action=action)
        if body.startswith("."):
            return named(_absolute(body[1:]), Scope.BELOW, number, options, whole=whole, action=action)
        if "." not in body:
            return options.bad(number, "a whole top-level domain", whole)
    return _searched(parts, number, options, whole=whole, action=action)


def _split(mask: str) -> _Mask:
    """Return how a mask starts, what it holds, and whether the host ends there. Stars at either end are taken in."""
    start = "||" if mask.startswith("||") else "|" if mask.startswith("|") else ""
    body, ended = mask[len(start) :], False
    if body.endswith("/*"):
        body = f"{body[:-2]}^"
    if body.endswith("|"):
        body, ended = body[:-1], True
    if body.rstrip("*").endswith("^"):
        body, ended = body.rstrip("*")[:-1], True
    if body.endswith("*"):
        body, ended = body.rstrip("*"), False
    if body.startswith("*"):
        start, body = "", body.lstrip("*")
    return _Mask(start, body, ended)


def _absolute(name: str) -> str:
    """Return a name as it is written in a mask: a dot at its end is one that no host has."""
    return "" if name.endswith(".") else name


def _searched(mask: _Mask, number: int, options: Options, *, whole: str, action: Action) -> Item:
    """Return the expression for a mask."""
    start, body, ended = mask
    labels, found = body.split("."), []
    for at, each in enumerate(labels):
        complete = (at > 0 or start) and (at < len(labels) - 1 or ended) and "*" not in each
        if not each.isascii() and not complete:
            return options.unenforceable(number, "a part of an internationalised label", whole)
        parts = [label(part) for part in _STARS.split(each)]
        if None in parts:
            return options.bad(number, "not a host or a part of one", whole)
        found.append(".*".join(part.replace(".", r"\.") for part in parts if part is not None))
    expression = f"{_STARTS[start]}{r'\.'.join(found)}{'$' if ended else ''}"
    return searched(expression, Scope.HOST, number, options, whole=whole, action=action)
