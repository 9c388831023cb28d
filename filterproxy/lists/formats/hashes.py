"""Hash lists: a hash of a file a line, with the provider's reference behind it where there is one.

`algorithm:hex`, `algorithm,hex` or hex alone, known by its length: MD5 (32 digits), SHA-1 (40), SHA-256 (64). A PDQ
hash has 64 digits too and always says `pdq`. One more field behind a comma or white space is the provider's reference,
such as the grade; it changes nothing in what the hash covers. More fields than that are another format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from filterproxy.core.model import BadLine, Entry, Item, Kind, Scope

from .lines import Options, numbered

MAX_REFERENCE = 200
"""Characters of a provider's reference at most."""

DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "pdq": 64}
"""The algorithms that we have, and how many hexadecimal digits their hashes have."""
_BY_LENGTH = {DIGITS[name]: name for name in ("md5", "sha1", "sha256")}
_OTHERS = frozenset({"photodna", "sha224", "sha384", "sha512", "tmk", "vpdq", "ssdeep", "tlsh"})
_NOTHING = frozenset({
    "d41d8cd98f00b204e9800998ecf8427e",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
})  # fmt: skip
_SEPARATOR = re.compile(r"\s*,\s*|\s+")
_HEX = re.compile(r"[0-9a-f]+")


def parse(lines: Iterable[bytes], options: Options) -> Iterator[Item]:
    """Yield an item for each line that says something."""
    for item in numbered(lines, options):
        yield item if isinstance(item, BadLine) else _entry(*item, options)


def _entry(number: int, text: str, options: Options) -> Item:
    first, *rest = _SEPARATOR.split(text, maxsplit=2)
    name, colon, digits = first.partition(":")
    algorithm = _algorithm(name)
    if not colon and algorithm in DIGITS.keys() | _OTHERS:
        digits, rest = (rest[0], rest[1:]) if rest else ("", [])
    elif not colon:
        digits, algorithm = name, _BY_LENGTH.get(len(name), "")
    digits = digits.lower()
    reference = rest[0] if rest else ""
    if algorithm in _OTHERS:
        return options.unenforceable(number, f"a hash of the kind {algorithm}", text)
    if len(digits) == 128 and not colon and _HEX.fullmatch(digits):
        return options.unenforceable(number, "a hash of the kind sha512", text)
    if len(digits) != DIGITS.get(algorithm, 0) or not _HEX.fullmatch(digits):
        return options.bad(number, "not a hash in hexadecimal digits", text)
    if len(rest) > 1 or _SEPARATOR.search(reference):
        return options.bad(number, "more than a hash and its reference", text)
    if len(reference) > MAX_REFERENCE or not reference.isprintable():
        return options.bad(number, f"a reference is text of {MAX_REFERENCE} characters at most", text)
    if digits in _NOTHING or (algorithm == "pdq" and len(set(digits)) == 1):
        return options.bad(number, "the hash of an empty file or picture", text)
    scope = Scope.NEAR if algorithm == "pdq" else Scope.EXACT
    return Entry(Kind.HASH, f"{algorithm}:{digits}", scope, line=number, reference=reference)


def _algorithm(text: str) -> str:
    return text.lower().replace("-", "").replace("_", "")
