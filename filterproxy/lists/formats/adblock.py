"""AdBlock-style lists as DNS filters read them (AdGuard Home, "Hosts Blocklists"): `[@@]mask[$modifier,…]` a line.

`||name^` is a name and all below it, `|name^` the name; any other mask is what masks.py says, `/expression/` an
expression searched in the host. A name alone is EXACT, and lines of a hosts file are read as such. `@@` makes an
exception. Of the modifiers `important`, `denyallow` and `badfilter` are known; a rule with any other is not for every
host, or not for hosts: unenforceable, as are rules on the look of pages (`##`). `badfilter` takes back the rule of the
same text and the same other modifiers wherever it stands, but for lines of a hosts file. `!` and `#` begin a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from filterproxy.core.model import Action, BadLine, Entry, Item, Scope
from filterproxy.core.names import host

from .hosts import listed
from .lines import Document, Options, decoded, plain
from .masks import covered
from .names import named, nowhere, searched, uncommented

_TREE = re.compile(r"\|\|([a-z0-9_-]+(?:\.[a-z0-9_-]+)+)\^")
_WORD = r"A-Za-z0-9_\x80-\U0010ffff"
_LABEL = rf"[{_WORD}](?:[{_WORD}-]*[{_WORD}])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_HEADER = re.compile(r"\[[a-z][^\]:]*\]", re.IGNORECASE)
_MARK = r"(?:#@?(?:\$\??|[?%])?#|\$@?\$)"
_LOOKS = re.compile(rf"(?<!\s){_MARK}")
_LOOKS_EVERYWHERE = re.compile(rf"{_MARK}(?:[^\s#]|#[^\s#])")
"""At the head of a line, where `##` also begins comments: a selector follows, which may be `#name`."""


class _Rule(NamedTuple):
    """A rule's text in its parts. Two rules that differ only in the order of their modifiers are the same."""

    mask: str
    modifiers: frozenset[str]


def parse(lines: Iterable[bytes], options: Options) -> Iterator[Item]:
    """Return what each line says. Goes over the lines twice: what cannot be asked for again is held in memory."""
    again = list(lines) if iter(lines) is lines else lines
    return _items(again, options, _taken_back(again, options))


def parse_all(documents: Sequence[Document], options: Options) -> Iterator[tuple[str, Item]]:
    """Yield what the documents of one list say, each item with its path: `badfilter` in one acts on them all."""
    taken_back = frozenset().union(*(_taken_back(document.lines, options) for document in documents))
    for document in documents:
        for item in _items(document.lines, options, taken_back):
            yield document.path, item


def _items(lines: Iterable[bytes], options: Options, taken_back: frozenset[_Rule]) -> Iterator[Item]:
    for item in decoded(lines, options):
        if isinstance(item, BadLine):
            yield item
            continue
        number, text = item[0], item[1].strip()
        tree = _TREE.fullmatch(text)
        if tree is None:
            yield from _line(number, text, options, taken_back)
        elif not taken_back or _Rule(text, frozenset()) not in taken_back:
            yield named(tree[1], Scope.TREE, number, options, whole=text)


def _taken_back(lines: Iterable[bytes], options: Options) -> frozenset[_Rule]:
    """Return the rules that a `badfilter` somewhere in the list takes back."""
    found = set()
    for item in decoded((raw for raw in lines if b"badfilter" in raw), options):
        if isinstance(item, BadLine):
            continue
        rule = _rule(uncommented(item[1].strip()))
        if "badfilter" in rule.modifiers:
            found.add(_Rule(rule.mask, rule.modifiers - {"badfilter"}))
    return frozenset(found)


def _line(number: int, text: str, options: Options, taken_back: frozenset[_Rule]) -> Iterator[Item]:
    if not text or text[0] == "!" or (text[0] == "[" and _HEADER.fullmatch(text)):
        return
    if text[0] == "#" and not _LOOKS_EVERYWHERE.match(text):
        return
    bare = uncommented(text)
    if _LOOKS.search(bare):
        yield options.unenforceable(number, "a rule on the look of pages", text)
        return
    first, *names = bare.split()
    leads_nowhere = nowhere(first) if names else None
    if leads_nowhere is not None:
        yield from listed(names, number, options, whole=text, leads_nowhere=leads_nowhere)
        return
    rule = _rule(bare)
    if "badfilter" not in rule.modifiers and rule not in taken_back:
        yield _item(rule, number, text, options)


def _rule(text: str) -> _Rule:
    """Split a rule at the last `$` that is neither escaped, nor the last character, nor inside an expression."""
    if len(text) > 1 and text.removeprefix("@@").startswith("/") and text.endswith("/"):
        return _Rule(text, frozenset())
    at = text.rfind("$", 0, -1)
    while at > 0 and text[at - 1] == "\\":
        at = text.rfind("$", 0, at)
    if at < 0:
        return _Rule(text, frozenset())
    return _Rule(text[:at], frozenset(filter(None, text[at + 1 :].split(","))))


def _item(rule: _Rule, number: int, text: str, options: Options) -> Item:
    mask, action = rule.mask.removeprefix("@@"), Action.ALLOW if rule.mask.startswith("@@") else Action.BLOCK
    excludes: tuple[str, ...] = ()
    for modifier in sorted(rule.modifiers - {"important"}):
        name, _, value = modifier.partition("=")
        if name != "denyallow" or excludes:
            return options.unenforceable(number, "a modifier that is not for every host", text)
        if action is Action.ALLOW:
            return options.unenforceable(number, "an exception with denyallow", text)
        if "*" in value:
            return options.unenforceable(number, "a denyallow with a wildcard", text)
        found = _hosts(value)
        if found is None:
            return options.bad(number, "denyallow is hosts, parted by |", text)
        excludes = found
    item = _covered(mask, number, text, options, action=action, alone=not rule.modifiers)
    if isinstance(item, Entry) and rule.modifiers:
        item = item._replace(important="important" in rule.modifiers, excludes=excludes)
    return item


def _covered(mask: str, number: int, text: str, options: Options, *, action: Action, alone: bool) -> Item:
    """Return what the mask of a rule covers; a name is one only if it stands `alone`, without modifiers."""
    if len(mask) > 1 and mask[0] == "/" and mask[-1] == "/":
        return searched(mask[1:-1], Scope.HOST, number, options, whole=text, action=action)
    if alone and action is Action.BLOCK and _NAME.fullmatch(mask):
        scope = Scope.TREE if options.subdomains else Scope.EXACT
        return named(mask, scope, number, options, whole=text)
    return covered(mask, number, options, whole=text, action=action)


def _hosts(value: str) -> tuple[str, ...] | None:
    """Return the hosts of a `denyallow` in their one spelling, or None where one of them is none."""
    found = [host(each) for each in value.split("|")]
    names = [name for name in found if name is not None and plain(name)]
    return tuple(dict.fromkeys(names)) if len(names) == len(found) else None
