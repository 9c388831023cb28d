"""The expressions of a URL as digests: what URL entries are looked up by, each hashed once however deep the path.

A directory's digest goes on from that of the directory above it, so that a URL costs its length, not its length times
its depth. `Url.expressions` spells the same out for people.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from .membership import EXACT_URL, PAGE, PREFIX, SPLIT, Digest
from .urls import MAX_DIRECTORIES, Url

_ABOVE = frozenset({PREFIX})
_PAGE_OF_A_QUERY = frozenset({PAGE, PREFIX})
_PAGE = frozenset({PAGE, PREFIX, EXACT_URL})
_WHOLE = frozenset({EXACT_URL})


class Expression(NamedTuple):
    """One spelling under which a URL may be listed."""

    digest: Digest
    covers: frozenset[int]
    """The scopes (codes of membership) in which an entry of this spelling covers the URL."""
    length: int
    """Characters of path and query that it spells."""
    ported: bool
    """Whether it names the port."""

    def text(self, url: Url) -> str:
        """Return the expression as a list would spell it."""
        rest = url.path if url.query is None else f"{url.path}?{url.query}"
        authority = f"{url.host}:{url.effective_port}" if self.ported else url.host
        return authority + rest[: self.length]


def expressions(url: Url, key: bytes, *, ported: bool) -> list[Expression]:
    """Return the expressions of `url` under a digest key: without its port, and where `ported` with it as well."""
    found = _under(url, url.host, key, ported=False)
    return found + _under(url, f"{url.host}:{url.effective_port}", key, ported=True) if ported else found


def _under(url: Url, authority: str, key: bytes, *, ported: bool) -> list[Expression]:
    path = url.path.encode("ascii")
    hasher = blake2b(authority.encode("ascii"), digest_size=16, key=key)
    found: list[Expression] = []
    done, at = 0, path.find(b"/")
    while 0 <= at < len(path) - 1 and len(found) < MAX_DIRECTORIES:
        hasher.update(path[done : at + 1])
        done = at + 1
        found.append(Expression(SPLIT(hasher.copy().digest()), _ABOVE, done, ported))
        at = path.find(b"/", done)
    hasher.update(path[done:])
    page = _PAGE if url.query is None else _PAGE_OF_A_QUERY
    found.append(Expression(SPLIT(hasher.copy().digest()), page, len(path), ported))
    if url.query is not None:
        hasher.update(b"?" + url.query.encode("ascii"))
        found.append(Expression(SPLIT(hasher.digest()), _WHOLE, len(path) + 1 + len(url.query), ported))
    return found
