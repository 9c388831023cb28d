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
"""Characters of a URL at most, as written and in canonical form."""
MAX_AUTHORITY = 1024
"""Characters of what stands before the path at most: spelling a long name costs more than its length."""
MAX_UNESCAPES = 16
"""Rounds of unescaping at most; what is escaped more deeply has no canonical form."""
MAX_DIRECTORIES = 256
"""Directories of a path that are looked up at most, counted from the root."""

DEFAULT_PORT = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
# `http:name/path` has a scheme, `http:80/path` is a host of that name with its port.
_HAS_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*://|(?:https?|wss?|ftp):(?!\d+(?:[/\\?#]|$))", re.IGNORECASE)
_AUTHORITY_END = re.compile(r"[/\\?#]")
# What the parser takes out wherever it stands, and what it takes off at the front; a list may begin with U+FEFF.
_DROPPED = str.maketrans(dict.fromkeys("\t\r\n"))
_BEFORE = "".join(map(chr, range(0x21))) + "\ufeff"
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
        query = "" if self.query is None else f"?{self.query}"
        return f"{self.scheme}://{self.authority}{self.path}{query}"

    @property
    def authority(self) -> str:
        """The host, with the port where the URL names one."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def effective_port(self) -> int:
        """The port that is connected to."""
        return DEFAULT_PORT[self.scheme] if self.port is None else self.port

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
        return tuple([self.authority + path for path in paths] + bare)

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
    """Return the canonical form of `text`, or None where it is no URL of a host, too long or escaped too deeply."""
    if len(text) > MAX_URL:
        return None
    if not text.isprintable() or text[:1] == " ":
        text = text.translate(_DROPPED).lstrip(_BEFORE)
    scheme_end = _HAS_SCHEME.match(text)
    if scheme_end is None:
        text = "http://" + text.lstrip("/\\")
    if len(text) > MAX_AUTHORITY and _authority(text, 7 if scheme_end is None else scheme_end.end()) > MAX_AUTHORITY:
        return None
    try:
        parsed = can_ada.parse(text)
        scheme = parsed.protocol[:-1]
        name = trimmed(parsed.hostname)
    except (ValueError, TypeError):  # TypeError: lone surrogates
        return None
    if name is None or scheme not in DEFAULT_PORT:
        return None
    path: str | None = parsed.pathname
    query: str | None = parsed.search[1:] or None
    if path is not None and _UNUSUAL.search(path):
        path = _canonical_path(path)
    if query is not None and "%" in query:
        query = _canonical_query(query)
        if query is None:
            return None
    if path is None or len(path) + len(query or "") > MAX_URL:
        return None
    port = parsed.port
    return Url(scheme, name, int(port) if port else None, path, query)


def has_scheme(text: str) -> bool:
    """Tell whether a URL was written with a scheme of its own."""
    return _HAS_SCHEME.match(text) is not None


def _authority(text: str, start: int) -> int:
    """Return the length of the authority that begins at or after `start`, where further slashes may stand."""
    while start < len(text) and text[start] in "/\\":
        start += 1
    end = _AUTHORITY_END.search(text, start)
    return (len(text) if end is None else end.start()) - start


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
