"""URL lists as the IWF's: a URL a line, with or without a scheme, its host as written.

A line with a query is that exact URL, a line without is that page with any query, also where it ends in `/`. A line
for the front page is the page; the site only where the list says `root = "site"`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from filterproxy.core.model import BadLine, Entry, Kind, Scope
from filterproxy.core.urls import MAX_DIRECTORIES, Url, canonical, has_scheme

from .lines import Options, numbered, plain

# `mailto:somebody@host` would be a host with a password; `host:81/path` is not meant here.
_OTHER_SCHEME = re.compile(r"(?!https?:|ftp:|wss?:)[a-z][a-z0-9+.\-]*:(?!//|\d*(?:[/?#]|$))", re.IGNORECASE)

_SCHEMES = frozenset({"http", "https"})
"""What would be a host where the colon was forgotten (`http//host/path`)."""


def parse(lines: Iterable[bytes], options: Options) -> Iterator[Entry | BadLine]:
    """Yield an entry or a bad line for each line that says something."""
    for item in numbered(lines, options):
        yield item if isinstance(item, BadLine) else entry(*item, options)


def entry(number: int, text: str, options: Options) -> Entry | BadLine:
    """Return the entry that a URL as a list writes it means, or a bad line."""
    url = web_address(number, text, options)
    return url if isinstance(url, BadLine) else entry_of(url, number, text, options)


def web_address(number: int, text: str, options: Options) -> Url | BadLine:
    """Return a listed URL in canonical form, or the bad line that it is."""
    if any(char.isspace() for char in text):
        return options.bad(number, "white space inside a URL", text)
    url = canonical(text)
    if url is None:
        return options.bad(number, "not a URL", text)
    if "*" in url.host or url.path.endswith("/*"):
        return options.bad(number, "a wildcard, which this format does not have", text)
    if not plain(url.host) or url.host in _SCHEMES or _OTHER_SCHEME.match(text):
        return options.bad(number, "not a web address", text)
    if url.path.count("/") > MAX_DIRECTORIES:
        return options.bad(number, f"more than {MAX_DIRECTORIES} directories", text)
    return url


def entry_of(url: Url, number: int, text: str, options: Options) -> Entry:
    """Return the entry that a listed URL means."""
    scheme = url.scheme if has_scheme(text) else ""
    if options.root_is_site and url.path == "/" and url.query is None:
        if url.port is None:
            return Entry(Kind.DOMAIN, url.host, Scope.EXACT, line=number, scheme=scheme)
        return Entry(Kind.URL, f"{url.host}:{url.port}/", Scope.PREFIX, line=number, scheme=scheme)
    port = "" if url.port is None else f":{url.port}"
    if url.query is None:
        return Entry(Kind.URL, f"{url.host}{port}{url.path}", Scope.PAGE, line=number, scheme=scheme)
    return Entry(Kind.URL, f"{url.host}{port}{url.path}?{url.query}", Scope.EXACT, line=number, scheme=scheme)
