"""Which TLS is opened, and what is known of the tunnel it came through.

Nothing is opened unless its tunnel says so: a tunnel begins closed, and only a judged ClientHello changes that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from mitmproxy import tls

from filterproxy.core import names
from filterproxy.core.model import Action, Verdict

_SERVER_NAME: Final = 0  # the extension's number (RFC 6066)


@dataclass(slots=True)
class Tunnel:
    """A CONNECT that was let through: its canonical host and port, and what its TLS named."""

    host: str
    port: int
    sni: str | None = None
    opened: bool = False
    """Whether we speak TLS with the client here."""
    greeted: bool = False
    """Whether a ClientHello was seen; a second one, inside the first's TLS, is not served."""

    def serves(self, place: tuple[str, int]) -> bool:
        """Tell whether an origin at `place` is reached through this tunnel."""
        return place[0] in (self.host, self.sni) and place[1] == self.port


class UnreadableNameError(Exception):
    """A ClientHello names a server in a way that servers read differently. The connection is closed."""


def server_name(hello: tls.ClientHello) -> str | None:
    """Return the canonical server name of a ClientHello, None where it gives none. Raises UnreadableNameError."""
    # mitmproxy returns None for two names or a bad one too: the origin might still understand these.
    if not any(kind == _SERVER_NAME for kind, _ in hello.extensions):
        return None
    found = names.host(hello.sni) if hello.sni else None
    if found is None:
        raise UnreadableNameError
    return found


def opens(setting: Literal["listed", "all", "none"], verdict: Verdict) -> bool:
    """Tell whether TLS with this verdict on its names is opened."""
    return setting == "all" or (setting == "listed" and verdict.action is Action.INSPECT)
