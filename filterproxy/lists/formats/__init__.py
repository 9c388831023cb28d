"""The formats in which lists come, a file each. A parser yields entries and bad lines, and never raises on content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from filterproxy.core.model import BadLine, Entry, ListFormat

from . import domains, keywords, urls
from .lines import Options

Parser = Callable[[Iterable[bytes], Options], Iterator[Entry | BadLine]]

PARSERS: dict[ListFormat, Parser] = {
    ListFormat.URLS: urls.parse,
    ListFormat.DOMAINS: domains.parse,
    ListFormat.KEYWORDS: keywords.parse,
}
"""A parser for each format."""

__all__ = ["PARSERS", "Options", "Parser"]
