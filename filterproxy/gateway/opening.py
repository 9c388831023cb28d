"""What a connection begins with: TLS, of which the hello is judged; HTTP; or neither, of which nothing can be seen.

It stands where a client asked for a tunnel, and where its packets were turned to us on their way. Nothing of it reaches
an origin before it was looked at; a server that speaks first speaks neither TLS nor HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from typing import TYPE_CHECKING, Final, Literal, cast

from filterproxy.core import authority as spelled
from filterproxy.core import names
from filterproxy.core.model import Action
from filterproxy.core.rulings import Client as Asker

from . import hello
from .client import Client
from .sweeping import NEVER
from .tunnelling import Ends, join
from .vectors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from filterproxy.core.rulings import Ruling

    from .hello import Hello
    from .house import House
    from .judging import Fixed

LONGEST_LINE: Final = 16_384
"""Bytes in which it must be clear whether they are HTTP."""
_TLS: Final = 22
_LINE: Final = re.compile(rb"[\r\n]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]")
"""How a request line begins, as the most generous server reads it."""
_METHODS: Final = re.compile(rb"(?i)[\r\n]*(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|TRACE|CONNECT|PRI)[ \t]")
_ACCESS_DENIED, _INTERNAL_ERROR, _DECODE_ERROR, _UNRECOGNIZED_NAME = 49, 80, 50, 112
_ALERT: Final = b"\x15\x03\x01\x00\x02\x02"
"""A fatal alert, but for what it says (RFC 8446, section 6)."""
_SPEAKS_SECOND: Final = frozenset((80, 443))
"""Ports of servers that do not speak first: nothing is dialled before it is known what is wanted."""


class Opening(asyncio.Protocol):
    """The beginning of one connection."""

    __slots__ = (
        "_address", "_data", "_explicit", "_fixed", "_house", "_needed", "_origin", "_paused", "_seat", "_source",
        "_task", "_transport", "_watched", "deadline",
    )  # fmt: skip

    def __init__(
        self, house: House, fixed: Fixed, address: str, seat: str, origin: socket.socket | None, *,
        explicit: bool, source: str | None = None,
    ) -> None:  # fmt: skip
        """Look at what the client of this address sends to `fixed`, to which `origin` is connected already if given.

        `explicit` tells that it asked for a tunnel there by name. What is given is owned.
        """
        self._house, self._fixed, self._address, self._seat = house, fixed, address, seat
        self._origin, self._explicit, self._source = origin, explicit, source
        self._data = bytearray()
        self._needed = 1
        """Bytes that there must be before it is worth another look."""
        self._watched = self._paused = False
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.deadline = NEVER

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.deadline = self._house.loop.time() + self._house.waits.tunnel
        self._house.sweeper.join(self)
        if self._origin is not None:
            self._watch()
        elif not self._explicit and self._fixed.place.port not in _SPEAKS_SECOND:
            self._task = self._house.loop.create_task(self._dial_ahead())

    def data_received(self, data: bytes) -> None:
        if not self._data:
            self.deadline = self._house.loop.time() + self._house.waits.head
        self._data += data
        if not self._paused and len(self._data) >= self._needed:
            self._guarded(self._look)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - nobody is there any more
        self._end()

    def overdue(self) -> None:
        """End a wait that is too long."""
        self._transport.abort()

    def retire(self) -> None:
        """End: nothing was begun that an origin knows of."""
        self._transport.abort()

    def _guarded(self, look: Callable[[], None]) -> None:
        """End the connection where our own code fails: nothing passes that was not judged."""
        try:
            look()
        except Exception as exc:  # noqa: BLE001 - whatever it is
            self._house.failed("opening", exc)
            self._transport.abort()

    # What it begins with

    def _look(self) -> None:
        data = self._data
        if not data:
            return
        if data[0] == _TLS:
            try:
                found = hello.read(data)
                self._needed = hello.needed(data)
            except UnreadableError:
                self._house.count.event("http_hello_refused")
                self._refuse(_DECODE_ERROR)
                return
            if found is not None:
                self._meet(found)
            return
        kind = begins(data)
        if kind == "http":
            self._speak_http()
        elif kind == "other":
            self._pass_unknown()

    def _speak_http(self) -> None:
        house, transport, data = self._house, self._transport, self._data
        origin, seat = self._let_go()
        client = Client(house, self._fixed, self._address, seat, origin, self._source)
        transport.set_protocol(client)
        client.connection_made(transport)
        client.data_received(bytes(data))

    def _pass_unknown(self) -> None:
        if self._house.settings.unknown == "refuse":
            self._house.count.event("http_unknown_refused")
            self._transport.abort()
            return
        # A tunnel was judged by its names before it stood; what was turned to us was not.
        ruling = None if self._explicit else self._judge(None)
        if ruling is not None and ruling.verdict.blocked:
            self._house.count.verdict("http", ruling.verdict)
            self._transport.abort()
            return
        if not self._explicit and ruling is not None:
            self._house.count.verdict("http", ruling.verdict)
        self._tunnel()

    def _meet(self, found: Hello) -> None:
        """Judge TLS by all its names, and pass it on, have it looked into, or end it."""
        house, place = self._house, self._fixed.place
        host = spelled.host_of(place.text) or ""
        if house.targets.is_own(host, place.port) and found.name in (None, host):
            self._tunnel()
            return
        if found.inner or self._is_hidden(found, host):
            house.count.event("http_hello_refused")
            self._refuse(_UNRECOGNIZED_NAME)
            return
        ruling = self._judge(found.name)
        if ruling is None:
            self._transport.abort()
            return
        verdict = ruling.verdict
        if verdict.blocked:
            house.count.verdict("http", verdict)
            self._refuse(_ACCESS_DENIED)
        elif house.opens == "all" or (house.opens == "listed" and verdict.action is Action.INSPECT):
            self._pause()
            self._task = house.loop.create_task(self._inspect())  # what is asked for inside is counted there
        else:
            house.count.verdict("http", verdict)
            self._tunnel()

    def _is_hidden(self, found: Hello, host: str) -> bool:
        """Tell whether the name that is visited cannot be known, and that is not allowed."""
        settings = self._house.settings
        known = self._explicit and not names.is_address(names.host(self._fixed.place.host) or "-")
        if found.name is None:
            return settings.no_sni == "refuse" and not known
        if found.ech is not None and found.name in settings.ech_names:
            return settings.ech == "refuse" and (not known or host == found.name)
        return False

    def _judge(self, name: str | None) -> Ruling | None:
        """Return the ruling on all names of the connection; None where the client is not served."""
        house = self._house
        policy = house.policy()
        admitted = house.door.admit(self._address)
        if admitted is None:
            return None
        hosts = [spelled.host_of(text) for text in self._fixed.names]
        asker = Asker(self._address, admitted.profile, policy, house.now())
        return asker.connection(dict.fromkeys(host for host in (*hosts, name) if host))

    # Where it leads

    def _tunnel(self) -> None:
        if self._origin is None:
            self._pause()
            self._task = self._house.loop.create_task(self._dial())
            return
        transport, data = self._transport, self._data
        origin, seat = self._let_go()
        if origin is not None:
            join(self._house, Ends(transport, origin, seat, to_origin=bytes(data)))

    async def _dial(self) -> None:
        try:
            self._origin = await self._reach()
        except OSError:
            self._house.count.event("http_upstream_error")
            self._task = None
            self._transport.abort()
            return
        self._task = None
        self._tunnel()

    async def _dial_ahead(self) -> None:
        with contextlib.suppress(OSError):  # then it is dialled again, should anything be asked
            self._origin = await self._reach()
            self._watch()
        self._task = None

    async def _reach(self) -> socket.socket:
        return await self._house.dialler.reach(self._fixed.place, self._address, self._source)

    async def _inspect(self) -> None:
        house, place = self._house, self._fixed.place
        try:
            self._close_origin()
            connect = house.waits.connect
            self._origin = await house.inspector.reach(house.loop, self._address, place, house.now(), connect)
        except OSError:
            house.count.event("http_uninspected")
            self._task = None
            self._refuse(_INTERNAL_ERROR)
            return
        self._task = None
        house.count.event("http_inspected")
        self._tunnel()

    # A server that speaks first

    def _watch(self) -> None:
        if self._origin is not None and not self._watched:
            self._watched = True
            self._house.loop.add_reader(self._origin, self._origin_speaks)

    def _unwatch(self) -> None:
        if self._watched and self._origin is not None:
            self._watched = False
            self._house.loop.remove_reader(self._origin)

    def _origin_speaks(self) -> None:
        """Pass on what speaks first; end what ended before anything was said."""
        origin = self._origin
        self._unwatch()
        try:
            speaks = origin is not None and bool(origin.recv(1, socket.MSG_PEEK))
        except OSError:
            speaks = False
        if not speaks:
            self._close_origin()
            if self._explicit:
                self._transport.close()
        elif not self._paused:
            self._guarded(self._pass_unknown)

    # Its end

    def _refuse(self, alert: int) -> None:
        """End a TLS that was begun, and say why in its own words."""
        self._transport.write(_ALERT + bytes((alert,)))
        self._transport.close()

    def _pause(self) -> None:
        self._paused = True
        self._unwatch()
        self.deadline = NEVER
        self._transport.pause_reading()

    def _let_go(self) -> tuple[socket.socket | None, str]:
        """Return what is owned, to whom goes on with it."""
        self._unwatch()
        self._house.sweeper.leave(self)
        if self._task is not None:
            self._task.cancel()
            self._task = None
        origin, self._origin = self._origin, None
        seat, self._seat = self._seat, ""
        self._data = bytearray()
        return origin, seat

    def _close_origin(self) -> None:
        self._unwatch()
        origin, self._origin = self._origin, None
        if origin is not None:
            origin.close()

    def _end(self) -> None:
        origin, seat = self._let_go()
        if origin is not None:
            origin.close()
        if seat:
            self._house.seats.leave(seat)


def begins(data: bytes | bytearray) -> Literal["http", "other"] | None:
    """Tell whether bytes are HTTP, or nothing of the kind; None where more are needed to say.

    Whatever any server might take for a request is: what then has not one reading is refused there.
    """
    end = data.find(b"\n", len(data) - len(data.lstrip(b"\r\n")))
    line = data if end < 0 else data[:end]
    if b" HTTP/" in line or _METHODS.match(line):
        return "http"
    if end >= 0 or len(data) > LONGEST_LINE or not _may_be_line(line):
        return "other"
    return None


def _may_be_line(line: bytes | bytearray) -> bool:
    rest = line.lstrip(b"\r\n")
    return _LINE.match(line) is not None or re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{0,64}", rest) is not None
