"""Where on the web a list is. A URL may hold a secret (a token in its path or query): only its host is ever shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urljoin, urlsplit, urlunsplit

import can_ada

from filterproxy.core import names
from filterproxy.errors import SourceError

MAX_URL = 8192
"""Characters of a URL at most."""


@dataclass(frozen=True, slots=True)
class Place:
    """An https URL: its host and port, and what is asked for there."""

    host: str
    """As the certificate must name it: lower-case, punycode, an address without brackets."""
    port: int
    target: str = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the place that a URL names. Raises SourceError, whose text holds nothing of it."""
        try:
            parsed = can_ada.parse(url[: MAX_URL + 1])
            host = names.trimmed(str(parsed.hostname))
            port = int(parsed.port or 443)
        except (ValueError, TypeError):
            raise SourceError("not a URL") from None
        if len(url) > MAX_URL or host is None or not port:
            raise SourceError("not a URL")
        if parsed.protocol != "https:":
            raise SourceError("not an https URL")
        if parsed.username or parsed.password:
            raise SourceError("no name or password in a URL: write them as a header into a file (fetch.headers)")
        return cls(host.strip("[]"), port, f"{parsed.pathname}{parsed.search}")

    @property
    def origin(self) -> tuple[str, int]:
        """What may be sent the list's secrets."""
        return self.host, self.port

    @property
    def authority(self) -> str:
        """What the Host field says (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole, which is secret."""
        return f"https://{self.authority}{self.target}"

    def redirected(self, location: str) -> Place:
        """Return where a redirect leads. Raises SourceError unless it stays on https."""
        try:
            return Place.of(urljoin(self.url, location))
        except (SourceError, ValueError):
            raise SourceError("redirected to what is not an https URL") from None


def is_remote(source: str) -> bool:
    """Tell an https URL from a path."""
    return source[:8].lower() == "https://"


def beside(url: str, suffix: str) -> str:
    """Return the URL of what stands beside a list: `suffix` put on its path, its query kept."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path + suffix, fragment=""))


def shown(source: str) -> str:
    """Return what a source may be called in logs and on pages: a path as it is, of a URL only the host."""
    if not is_remote(source):
        return source
    try:
        return Place.of(source).host
    except SourceError:
        return "https URL"
