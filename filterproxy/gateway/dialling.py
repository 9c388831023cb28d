"""Connections to where a client wants to go: names are looked up once, what they lead to is checked, and what was
checked is dialled. A name cannot change its mind in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import aiohappyeyeballs

from filterproxy.core import names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from filterproxy.core.targets import Targets

    from .judging import Place

type Info = tuple[int, int, int, str, tuple[Any, ...]]
"""An address as getaddrinfo returns it."""
type Resolve = Callable[[str], Awaitable[list[str]]]
"""Looks a canonical host up. Returns IP addresses; raises OSError."""

THREADS: Final = 64
"""Names that are looked up at once."""
WAITING: Final = 2048
"""Names that wait to be looked up at most."""
SHARE: Final = THREADS // 2
"""Names that are looked up for one client at once: its slow ones leave room for others."""
KEEP_SECONDS: Final = 10.0
KEEP_NAMES: Final = 8192
NEXT_SECONDS: Final = 0.25
"""How long one address is tried before the next is as well (RFC 8305, section 5)."""
MOST_ADDRESSES: Final = 8
"""Addresses of each family that are tried."""
_IP_TRANSPARENT, _IPV6_TRANSPARENT, _IP_BIND_ADDRESS_NO_PORT = 19, 75, 24


class TargetRefusedError(OSError):
    """A connection there is not made for this client: 403."""


class OverloadedError(OSError):
    """Too many names are being looked up: 503."""


class UnreachableError(OSError):
    """Nobody answers there, or nobody knows where it is. `status` is 502, or 504 where it took too long."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Dialler:
    """Makes connections for the clients of one worker."""

    def __init__(self, targets: Targets, seconds: float, resolve: Resolve | None = None) -> None:
        """Take as long as `seconds` for each, look-up and all. `resolve` takes the place of the system's."""
        self._targets, self._seconds = targets, seconds
        self._threads = ThreadPoolExecutor(THREADS, "resolve")
        self._resolve = resolve or self._ask_system
        self._known: dict[str, tuple[float, list[str]]] = {}
        self._asked: dict[str, asyncio.Task[list[str]]] = {}
        self._of: Counter[str] = Counter()

    async def reach(self, place: Place, client: str, source: str | None = None) -> socket.socket:
        """Return a socket that is connected to `place` for the client of this IP address.

        With `source`, an IP address, it comes from there (needs NET_RAW). Raises TargetRefusedError, OverloadedError,
        UnreachableError.
        """
        try:
            async with asyncio.timeout(self._seconds):
                return await self._reach(place, client, source)
        except TimeoutError:
            raise UnreachableError(504) from None
        except (TargetRefusedError, OverloadedError, UnreachableError):
            raise
        except (OSError, RuntimeError):  # aiohappyeyeballs raises the latter where no address is left to try
            raise UnreachableError(502) from None

    def close(self) -> None:
        """Look nothing up any more."""
        for task in self._asked.values():
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _reach(self, place: Place, client: str, source: str | None) -> socket.socket:
        host = names.host(place.host)
        if host is None:
            raise TargetRefusedError
        own = self._targets.is_own(host, place.port)
        addresses = [place.host] if names.is_address(host) else await self._look_up(host, client)
        good = [item for item in addresses if own or self._targets.allows(item, place.port, client)]
        if not good:
            raise TargetRefusedError if addresses else UnreachableError(502)
        infos = [_info(address, place.port) for address in good]
        by_family = [[info for info in infos if info[0] == family] for family in (socket.AF_INET6, socket.AF_INET)]
        if source is not None:
            by_family = by_family[:1] if ":" in source else by_family[1:]
            if not own and any(self._is_foreign(info[4][0], place.port, client) for info in by_family[0]):
                raise TargetRefusedError
        infos = [info for found in by_family for info in found[:MOST_ADDRESSES]]
        if not infos:
            raise UnreachableError(502)
        sock = await aiohappyeyeballs.start_connection(
            infos, happy_eyeballs_delay=NEXT_SECONDS, interleave=1, socket_factory=lambda info: _made(info, source)
        )
        try:
            peer, here = sock.getpeername(), sock.getsockname()
            if peer[0] == here[0] and not own and not self._targets.allows_own(peer[0], peer[1], client):
                raise TargetRefusedError
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            sock.close()
            raise
        return sock

    def _is_foreign(self, address: str, port: int, client: str) -> bool:
        """Tell whether an address is this machine's and may not be reached, where our own end will not show it."""
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((address, port))  # sends nothing
            except OSError:
                return False
            return probe.getsockname()[0] == address and not self._targets.allows_own(address, port, client)

    async def _look_up(self, host: str, client: str) -> list[str]:
        now = asyncio.get_running_loop().time()
        ends, found = self._known.get(host, (0.0, []))
        if now < ends:
            return found
        task = self._asked.get(host)
        if task is None:
            if len(self._asked) >= WAITING or self._of[client] >= SHARE:
                raise OverloadedError
            task = self._asked[host] = asyncio.create_task(self._ask(host))
            self._of[client] += 1
            task.add_done_callback(lambda _: self._done(client))
        return await asyncio.shield(task)

    def _done(self, client: str) -> None:
        self._of[client] -= 1
        if not self._of[client]:
            del self._of[client]

    async def _ask(self, host: str) -> list[str]:
        found: list[str] = []
        try:
            with contextlib.suppress(OSError, UnicodeError):
                found = await self._resolve(host)
        finally:
            del self._asked[host]
        if len(self._known) >= KEEP_NAMES:
            self._known.clear()
        self._known[host] = (asyncio.get_running_loop().time() + KEEP_SECONDS, found)
        return found

    async def _ask_system(self, host: str) -> list[str]:
        infos = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(info[4][0]) for info in infos))


def _info(address: str, port: int) -> Any:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    there = (address, port, 0, 0) if ":" in address else (address, port)
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", there)


def _made(info: Any, source: str | None) -> socket.socket:
    sock = socket.socket(info[0], info[1], info[2])
    try:
        if source is not None:
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
    except BaseException:
        sock.close()
        raise
    return sock
