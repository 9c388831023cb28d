"""The formats in which lists come, a file each. A parser yields entries and bad lines, and never raises on content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from filterproxy.core.model import Item, ListFormat

from . import adblock, csv, dnsmasq, domains, hashes, hosts, keywords, rpz, squidguard, urls, wildcard
from .lines import Columns, Document, Options

Parser = Callable[[Iterable[bytes], Options], Iterator[Item]]

PARSERS: dict[ListFormat, Parser] = {
    ListFormat.URLS: urls.parse,
    ListFormat.DOMAINS: domains.parse,
    ListFormat.WILDCARD: wildcard.parse,
    ListFormat.HOSTS: hosts.parse,
    ListFormat.ADBLOCK: adblock.parse,
    ListFormat.SQUIDGUARD: squidguard.parse,
    ListFormat.RPZ: rpz.parse,
    ListFormat.DNSMASQ: dnsmasq.parse,
    ListFormat.CSV: csv.parse,
    ListFormat.KEYWORDS: keywords.parse,
    ListFormat.HASHES: hashes.parse,
}
"""A parser for each format whose files stand for themselves. It may go over the lines more than once."""


def read(form: ListFormat, documents: Sequence[Document], options: Options) -> Iterator[Item]:
    """Yield what the documents of a source say in a format."""
    if form in (ListFormat.SQUIDGUARD, ListFormat.ADBLOCK):  # whose files stand together
        yield from (item for _, item in placed(form, documents, options))
        return
    for document in documents:
        yield from PARSERS[form](document.lines, options)


def placed(form: ListFormat, documents: Sequence[Document], options: Options) -> Iterator[tuple[str, Item]]:
    """Yield what the documents of a source say in a format, each item with the path of its document."""
    if form is ListFormat.SQUIDGUARD:
        yield from squidguard.parse_tree(documents, options)
        return
    if form is ListFormat.ADBLOCK:
        yield from adblock.parse_all(documents, options)
        return
    for document in documents:
        for item in PARSERS[form](document.lines, options):
            yield document.path, item


__all__ = ["PARSERS", "Columns", "Document", "Options", "Parser", "placed", "read"]
