"""One canonical form per URL, and the expressions under which it may be listed.

The WHATWG parser splits the URL and spells its host; path and query are then unescaped until no escape is left and
re-escaped once. The form is idempotent in its parts. The scheme is no part of a match, a port only if the entry
names one; docs/design.md says where public vectors disagree with this.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import can_ada

from .names import trimmed

MAX_URL = 65_536
"""Characters of a URL at most."""
MAX_UNESCAPES = 16
"""Rounds of unescaping at most; what is escaped more deeply has no canonical form."""
MAX_DIRECTORIES = 256
"""Directories of a path that are looked up at most, counted from the root."""

_DEFAULT_PORT = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_HAS_SCHEME = re.compile(r"[\x00-\x20]*(?:[A-Za-z][A-Za-z0-9+.\-]*://|(?:https?|wss?|ftp):[/\\])", re.IGNORECASE)
_HTTPS_PORT = re.compile(r"[^/\\?#]*:443(?:[/\\?#]|$)")
_BEFORE_HOST = "".join(map(chr, range(0x21))) + "/\\"
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_UNUSUAL = re.compile(r"%|//")
_REESCAPE_QUERY = {byte: f"%{byte:02X}" for byte in (*range(0x21), *range(0x7F, 0x100), ord("%"), ord("#"))}
_REESCAPE_PATH = _REESCAPE_QUERY | {ord("?"): "%3F"}
_SLASHES = re.compile(rb"/{2,}")


class Url(NamedTuple):
    """A URL in canonical form. `port` is None where it is the scheme's own; `query` is without `?`, None if absent."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str | None

    @property
    def text(self) -> str:
        """The canonical URL."""
        port = "" if self.port is None else f":{self.port}"
        query = "" if self.query is None else f"?{self.query}"
        return f"{self.scheme}://{self.host}{port}{self.path}{query}"

    @property
    def expressions(self) -> tuple[str, ...]:
        """All under which the URL may be listed, as `host[:port]path[?query]`.

        Path with query, path, then each directory above it from the longest to `/`; where the URL names a port, all
        of these with the port come first, then without, for an entry without a port covers every port.
        """
        paths = self.paths
        bare = [self.host + path for path in paths]
        if self.port is None:
            return tuple(bare)
        authority = f"{self.host}:{self.port}"
        return tuple([authority + path for path in paths] + bare)

    @property
    def paths(self) -> list[str]:
        """Path with query, path, then each directory above it; at most MAX_DIRECTORIES of these."""
        path = self.path
        found = [path] if self.query is None else [f"{path}?{self.query}", path]
        above: list[str] = []
        at = path.find("/")
        last = len(path) - 1
        while 0 <= at < last and len(above) < MAX_DIRECTORIES:
            above.append(path[: at + 1])
            at = path.find("/", at + 1)
        above.reverse()
        return found + above

    def __repr__(self) -> str:
        """Hide the address: a URL may be listed, and representations end up in logs."""
        return "Url(…)"


def canonical(text: str) -> Url | None:
    """Return the canonical form of `text`, or None where it is no URL of a host or is escaped too deeply."""
    if len(text) > MAX_URL:
        return None
    if not _HAS_SCHEME.match(text):
        # Port 443 without a scheme can only mean https; as http it would be a port that no request ever names.
        text = ("https://" if _HTTPS_PORT.match(text) else "http://") + text.lstrip(_BEFORE_HOST)
    try:
        parsed = can_ada.parse(text)
        scheme = parsed.protocol[:-1]
        name = trimmed(parsed.hostname)
    except (ValueError, TypeError):  # TypeError: lone surrogates
        return None
    if name is None or scheme not in _DEFAULT_PORT:
        return None
    path: str | None = parsed.pathname
    query: str | None = parsed.search[1:] or None
    if path is not None and _UNUSUAL.search(path):
        path = _canonical_path(path)
    if query is not None and "%" in query:
        query = _canonical_query(query)
        if query is None:
            return None
    if path is None:
        return None
    port = parsed.port
    return Url(scheme, name, int(port) if port else None, path, query)


def _unescaped(text: str) -> bytes | None:
    """Unescape until no escape is left, or return None after MAX_UNESCAPES rounds."""
    raw = text.encode()
    for _ in range(MAX_UNESCAPES):
        if not _ESCAPE.search(raw):
            return raw
        raw = unquote_to_bytes(raw)
    return None if _ESCAPE.search(raw) else raw


def _canonical_path(path: str) -> str | None:
    raw = _unescaped(path)
    if raw is None:
        return None
    raw = _without_dots(raw.replace(b"\\", b"/"))
    return _SLASHES.sub(b"/", raw).decode("latin-1").translate(_REESCAPE_PATH)


def _canonical_query(query: str) -> str | None:
    raw = _unescaped(query)
    return None if raw is None else raw.decode("latin-1").translate(_REESCAPE_QUERY)


def _without_dots(path: bytes) -> bytes:
    """Resolve `.` and `..` segments as the WHATWG parser does; a path never leaves its root."""
    if b"/." not in path:
        return path
    kept: list[bytes] = []
    parts = path.split(b"/")[1:]
    for part in parts:
        if part == b"..":
            if kept:
                kept.pop()
        elif part != b".":
            kept.append(part)
    if parts[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)
