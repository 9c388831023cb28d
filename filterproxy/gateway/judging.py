"""Which names a request gives, and whether any list says anything of them: for nearly all, nothing does.

What is known of a pair of names is remembered, so that a request to a host that no list names costs two look-ups and no
canonical URL. Pure but for that memory.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote_from_bytes

from filterproxy.core import authority as spelled

if TYPE_CHECKING:
    from filterproxy.core.policy import Policy
    from filterproxy.core.targets import Targets
    from filterproxy.core.urls import Url

MEMO: Final = 65_536
"""Pairs of names that are remembered at most; the memory is emptied when full."""
_ABSOLUTE: Final = re.compile(rb"(?i:http)://([^/?]+)(.*)")
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


class Place(NamedTuple):
    """A canonical host, an address bare of brackets, and a port."""

    host: str
    port: int

    @property
    def text(self) -> str:
        """As it stands in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        """Hide the host."""
        return "Place(…)"


class Fixed(NamedTuple):
    """Where all requests of a connection go, whatever they name: a tunnel's end, or where the client thought to be."""

    place: Place
    names: tuple[str, ...]
    """Further names that are judged with each request, as `host:port`; the place is among them."""


class Named(NamedTuple):
    """What a request names."""

    place: Place
    """Where it goes."""
    authority: bytes
    """The Host field that the origin gets."""
    names: tuple[str, ...]
    """Every name that it gives, as `host[:port]`; the first is that of `authority`."""
    own: bool
    """Whether all of them are the portal's: people must reach that whatever a list says."""
    free: bool
    """Whether no list says anything of any URL of these names, whatever the moment."""


class Judge:
    """Reads names before one policy after the other."""

    def __init__(self, targets: Targets) -> None:
        """`targets` tells what is the portal's."""
        self._targets = targets
        self._says: object = None
        self._memo: dict[tuple[str, bytes, bytes | None, Fixed | None], Named | None] = {}

    def named(
        self, policy: Policy, profile: str, authority: bytes, host: bytes | None, fixed: Fixed | None
    ) -> Named | None:
        """Return what a request names, or None where it must be answered 400.

        `authority` is that of its absolute form, empty without one; `host` its Host field.
        """
        memo = self._memo
        if policy.says is not self._says or len(memo) >= MEMO:
            memo.clear()
            self._says = policy.says
        key = (profile, authority, host, fixed)
        try:
            return memo[key]
        except KeyError:
            found = memo[key] = self._read(policy, profile, authority, host, fixed)
            return found

    def _read(
        self, policy: Policy, profile: str, authority: bytes, host: bytes | None, fixed: Fixed | None
    ) -> Named | None:
        given = [name.decode() for name in (authority, host or b"") if name.isascii() and name]
        if len(given) < bool(authority) + (host is not None) or not (authority or fixed):
            return None
        urls = [spelled.url_of("http", name, "/") for name in given]
        names = [url.authority for url in urls if url is not None]
        if len(names) < len(urls):
            return None
        if fixed is not None:
            # The server there need not look at the port that Host names, nor at the name.
            names += [Place(spelled.bare(url.host), fixed.place.port).text for url in urls if url is not None]
            names += fixed.names
        names = list(dict.fromkeys(names))
        every = [url for name in names if (url := spelled.url_of("http", name, "/")) is not None]
        if len(every) < len(names):
            return None
        first = every[0]
        place = fixed.place if fixed is not None else Place(spelled.bare(first.host), first.effective_port)
        view = policy.view(profile)
        return Named(
            place,
            first.authority.encode(),
            tuple(names),
            all(self._targets.is_own(*spelled.place(url)) for url in every),
            not (view.closed or view.reads_urls or any(policy.bundle.host(url.host) for url in every)),
        )


def split(target: bytes) -> tuple[bytes, bytes] | None:
    """Return the authority and the origin form of a request target, the former empty where it has none.

    None where it is neither absolute with the scheme http nor in origin form (RFC 9112, section 3.2).
    """
    if target.startswith(b"http://"):
        at = target.find(b"/", 7)
        if at > 7 and target.find(b"?", 7, at) < 0:
            return target[7:at], target[at:]
    elif target.startswith(b"/"):
        return b"", target
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        return (b"", target) if target == b"*" else None
    rest = found[2]
    return found[1], rest if rest.startswith(b"/") else b"/" + rest


def urls(named: Named, target: bytes) -> tuple[Url, ...] | None:
    """Return the URL that a request asks for under each of its names, or None where it has no canonical form."""
    path = "/" if target == b"*" else quote_from_bytes(target, safe=_PRINTABLE)
    found = [spelled.url_of("http", name, path) for name in named.names]
    read = [url for url in found if url is not None]
    return tuple(dict.fromkeys(read)) if len(read) == len(found) else None
