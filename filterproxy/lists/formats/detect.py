"""Which format documents have, told by their names and first lines, and only where no other would mean another thing.

Keyword, CSV and hash lists are never guessed. A wrong guess would change what entries cover, so whatever is mixed,
rare or unclear has no answer: then the configuration names the format.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum, auto
from itertools import islice
from typing import Final

from filterproxy.core.model import BadLine, ListFormat
from filterproxy.core.names import host

from . import rpz
from .lines import Document, Options, decoded, plain
from .names import uncommented
from .squidguard import role
from .urls import web_address

SAMPLE: Final = 200
"""Lines of a document that are looked at, beside comments."""
LOOKED_AT: Final = 20_000
"""Lines of a document at most, with comments."""
MAX_FOREIGN: Final = 0.05
"""The share of lines that may fit nothing: lists have their bad lines."""


class Shape(StrEnum):
    """What a line looks like."""

    NAME = auto()
    STAR = auto()
    HOSTS = auto()
    ADBLOCK = auto()
    DNSMASQ = auto()
    URL = auto()
    FOREIGN = auto()


_COMMENTS: Final = ("#", "!", ";")
_TITLE = re.compile(r"\[(?:Adblock|uBlock|AdGuard)[^\]]*\]", re.IGNORECASE)
_ADBLOCK = re.compile(r"(?:@@|\|).*|/.*/(?:\$.*)?|[^/\s]+\^(?:\$\S*)?|[^#]+#@?#[^#]+")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(?:%\w+)?")
_DNSMASQ = re.compile(r"(?:address|local|server)=/\S+")
_BEFORE_TYPE = r"(?:(?:\d+[smhdw]?|IN)\s+){0,2}"
_ZONE = re.compile(rf"\$(?:TTL|ORIGIN)\s|\S*\s+{_BEFORE_TYPE}SOA\s", re.IGNORECASE)
_RULE = re.compile(rf"\S+\s+{_BEFORE_TYPE}CNAME\s+\S+\s*(?:;.*)?", re.IGNORECASE)
_OF_A_TREE: Final = frozenset({"usage", "global_usage"})
_ALONE: Final = {
    frozenset({Shape.NAME}): ListFormat.DOMAINS,
    frozenset({Shape.STAR}): ListFormat.WILDCARD,
    frozenset({Shape.STAR, Shape.NAME}): ListFormat.WILDCARD,
    frozenset({Shape.HOSTS}): ListFormat.HOSTS,
    frozenset({Shape.ADBLOCK}): ListFormat.ADBLOCK,
    frozenset({Shape.DNSMASQ}): ListFormat.DNSMASQ,
    frozenset({Shape.URL}): ListFormat.URLS,
    frozenset({Shape.URL, Shape.NAME}): ListFormat.URLS,
}
"""The shapes that tell a format where there are no others."""


def detect(documents: Sequence[Document]) -> ListFormat | None:
    """Return the format of the documents of a source, or None where that is not clear."""
    roles = [role(document.path) for document in documents]
    described = any(document.path.rpartition("/")[2] in _OF_A_TREE for document in documents)
    if any(roles) and (len(documents) > 1 or described):
        return ListFormat.SQUIDGUARD
    if any(found in ("urls", "expressions") for found in roles):
        return None  # alone: a URL list or a part of a tree, and the two mean different things
    found = {_form(document.lines) for document in documents}
    return found.pop() if len(found) == 1 else None


def _form(lines: Iterable[bytes]) -> ListFormat | None:
    comments: set[str] = set()
    said = list(islice(_said(lines, comments), SAMPLE))
    titled = bool(said) and _TITLE.fullmatch(said[0].strip()) is not None
    if titled:
        del said[0]
    if not said:
        return None
    if any(map(_ZONE.match, said)) or all(map(_RULE.fullmatch, said)):
        return ListFormat.RPZ if _is_zone(said) else None
    shapes = Counter(map(_shape, map(str.strip, said)))
    if _few(shapes.pop(Shape.FOREIGN, 0), said) and (titled or _shape(said[0].strip()) is not Shape.FOREIGN):
        found = _of_shapes(shapes, titled=titled)
        # Only AdBlock lists have such comments, and there a name means less than in most lists of names.
        return found if "!" not in comments or found in (ListFormat.ADBLOCK, ListFormat.HOSTS) else None
    return None


def _said(lines: Iterable[bytes], comments: set[str]) -> Iterator[str]:
    """Yield the lines that are neither empty nor a comment of any format; what is no text is a foreign line.

    `comments` is told how comments begin.
    """
    for item in decoded(islice(lines, LOOKED_AT), Options()):
        text = "\\" if isinstance(item, BadLine) else item[1].rstrip()
        if text and (bare := text.lstrip()).startswith(_COMMENTS):
            comments.add(bare[0])
        elif text:
            yield text


def _shape(text: str) -> Shape:
    if _ADBLOCK.fullmatch(text):
        return Shape.ADBLOCK
    if _DNSMASQ.fullmatch(text):
        return Shape.DNSMASQ
    bare = uncommented(text)
    first, *rest = bare.split()
    if rest:
        return Shape.HOSTS if _ADDRESS.fullmatch(first) and all(map(host, rest)) else Shape.FOREIGN
    if "/" in first:
        return Shape.FOREIGN if isinstance(web_address(1, first, Options()), BadLine) else Shape.URL
    name = host(first.removeprefix("*").removeprefix("."))
    if name is None or not plain(name) or "." not in name.strip("[]"):
        return Shape.FOREIGN
    return Shape.STAR if first.startswith("*.") else Shape.NAME


def _of_shapes(shapes: Counter[Shape], *, titled: bool) -> ListFormat | None:
    """Return the format in which all of the shapes mean one thing."""
    marked = shapes[Shape.ADBLOCK]
    if titled or marked > shapes.total() / 2:
        foreign = shapes[Shape.DNSMASQ] + shapes[Shape.URL]
        return ListFormat.ADBLOCK if not foreign else None
    return _ALONE.get(frozenset(+shapes))


def _is_zone(said: Sequence[str]) -> bool:
    items = list(rpz.parse((f"{line}\n".encode() for line in said), Options()))
    return bool(items) and _few(sum(isinstance(item, BadLine) for item in items), said)


def _few(number: int, said: Sequence[str]) -> bool:
    return number <= MAX_FOREIGN * len(said)
