"""What every line-wise format shares: numbering, decoding, comments, and the options of its list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from filterproxy.core.model import BadLine

MAX_LINE = 65_536
"""Bytes of a line at most."""


_PLAIN_HOST = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]")


def plain(name: str) -> bool:
    """Tell whether a canonical host is one that a list can mean.

    The parser allows more (`a,b.example`, `"a.example"`), which is punctuation of some other format.
    """
    return _PLAIN_HOST.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Options:
    """What a list's settings change in how its lines are read."""

    root_is_site: bool = False
    subdomains: bool | None = None
    confidential: bool = False

    def bad(self, line: int, reason: str, text: str) -> BadLine:
        """Return a bad line; its text is left out where the list is confidential."""
        return BadLine(line, reason, "" if self.confidential else text[:200])


def numbered(lines: Iterable[bytes], options: Options) -> Iterator[tuple[int, str] | BadLine]:
    """Yield number and text of each line that is neither empty nor a comment (`#`), or a bad line."""
    for number, raw in enumerate(lines, 1):
        if len(raw) > MAX_LINE:
            yield options.bad(number, f"longer than {MAX_LINE} bytes", "")
            continue
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            yield options.bad(number, "not UTF-8", "")
            continue
        if text and not text.startswith("#"):
            yield number, text
