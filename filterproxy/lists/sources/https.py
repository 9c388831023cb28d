"""Fetching over https: each hop judged anew, secrets for the list's own host alone, what arrives bounded, in memory."""

from __future__ import annotations

import re
from dataclasses import dataclass

from filterproxy.errors import SourceError
from filterproxy.settings.lists import Fetch

from . import addresses, credentials
from .addresses import Resolve
from .exchange import Answer, Deadline, exchange
from .memory import Content, kept
from .places import Place

MAX_REDIRECTS = 5

_REDIRECTS = (301, 302, 303, 307, 308)
_PACKED = ("", "identity", "gzip", "x-gzip", "zstd")
"""Content codings that are taken: they say of a packed file what its first bytes say as well. We ask for none."""
_VALIDATOR = re.compile(r"[\x20-\x7e]{0,512}")


@dataclass(frozen=True, slots=True)
class Validators:
    """What a source said of a version, sent back to ask whether it has changed (RFC 9110, section 8.8)."""

    etag: str = ""
    last_modified: str = ""

    def __bool__(self) -> bool:
        return bool(self.etag or self.last_modified)

    @property
    def headers(self) -> credentials.Headers:
        """The conditions of a request."""
        said = ((b"If-None-Match", self.etag), (b"If-Modified-Since", self.last_modified))
        return [(name, value.encode()) for name, value in said if value and _VALIDATOR.fullmatch(value)]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came: nothing where the source says that it has not changed."""

    content: Content | None
    validators: Validators


class Client:
    """Fetches what belongs to one list, within its one deadline."""

    def __init__(self, fetch: Fetch, own: Place, resolve: Resolve = addresses.system) -> None:
        """`own` is where the list is: its origin alone is sent the headers and shown the certificate."""
        self._fetch, self._own, self._resolve = fetch, own, resolve
        self._deadline = Deadline(fetch.timeout.total_seconds())
        self._headers = credentials.headers(fetch)

    def get(self, place: Place, limit: int, before: Validators | None = None) -> Fetched:
        """Return what is at a place, or that it is as it was `before`. Raises SourceError."""
        for _ in range(MAX_REDIRECTS + 1):
            found = self._once(place, limit, before)
            if isinstance(found, Fetched):
                return found
            place = found
        raise SourceError(f"redirected more than {MAX_REDIRECTS} times")

    def _once(self, place: Place, limit: int, before: Validators | None) -> Fetched | Place:
        known = place.origin == self._own.origin
        context = credentials.context(self._fetch, known=known)
        found = addresses.resolved(place.host, place.port, self._deadline.wait(), self._resolve)
        judged = addresses.allowed(found, private=self._fetch.private)
        conditions = before.headers if before else []
        asked = [(b"Accept-Encoding", b"identity"), *conditions, *(self._headers if known else [])]
        if not any(name.lower() == b"user-agent" for name, _ in asked):
            asked.append((b"User-Agent", b"filterproxy"))
        with exchange(place, judged, asked, context, self._deadline) as answer:
            if answer.status in _REDIRECTS:
                return place.redirected(answer.header(b"location"))
            if answer.status == 304:
                if not conditions or before is None:
                    raise SourceError("answered 304, although nothing was asked of an older version")
                return Fetched(None, before)
            return _taken(answer, limit)


def _taken(answer: Answer, limit: int) -> Fetched:
    if answer.status != 200:
        raise SourceError(f"answered {answer.status}")
    if answer.header(b"content-encoding").strip().lower() not in _PACKED:
        raise SourceError("answered in a content coding that was not asked for")
    said = answer.header(b"content-length")
    if said.isascii() and said.isdigit() and int(said[:20]) > limit:
        raise SourceError(f"larger than {limit} bytes")
    return Fetched(kept(answer.body, limit), Validators(_said(answer, b"etag"), _said(answer, b"last-modified")))


def _said(answer: Answer, name: bytes) -> str:
    value = answer.header(name)
    return value if _VALIDATOR.fullmatch(value) else ""
