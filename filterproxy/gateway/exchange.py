"""One request and its answer: judged, put to an origin or answered in its place, and passed back as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .answering import Answering
from .fields import counted_down, last_chunk
from .judging import split
from .origin import Origin
from .pages import FAILED, is_head
from .reaching import reached
from .ruling import ruled
from .tunnelling import switch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from .client import Client
    from .judging import Named
    from .requests import Fields, Request

_REPEATABLE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PROPFIND", b"REPORT"))
"""Methods of which two are as one (RFC 9110, section 9.2.2): asked again where a kept connection died meanwhile."""
_FRESH_SECONDS: Final = 1.0
"""For how long a connection may have been unused to take what cannot be asked twice."""


class Exchange(Answering):
    """One request. Its client tells it what comes, it tells its client when it is over."""

    __slots__ = (
        "_dialling", "_held", "_named", "_origin", "_retried", "_started", "_status", "_target", "_turned", "_upgrades",
        "stalled",
    )  # fmt: skip

    def __init__(self, client: Client, request: Request) -> None:
        """Wait for the turn of this request."""
        super().__init__(client, request)
        self._named: Named | None = None
        self._target = b""
        self._origin: Origin | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._held: list[bytes] = []
        """Of the request's body, framed, what no origin was sent yet."""
        self._status = 0
        """What it is answered with, whatever it asks for."""
        self._started = self._retried = self._turned = False
        """Whether its turn has come; it was asked twice; all that follows on the connection is of another protocol."""
        self._upgrades = request.upgrade and (request.method == b"CONNECT" or request.websocket)
        self.stalled = False
        """Whether no more of the request should be read for now."""

    # What the client tells

    def start(self) -> None:
        """Judge the request, and do what it asks or say why not; also where our own code fails."""
        self._started = True
        try:
            self._start()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the request must not pass
            self._fail(exc)

    def _start(self) -> None:
        client, request = self._client, self.request
        house = client.house
        house.count.event("http_requests")
        if self._status:
            self.answer(house.pages.refuse(self._status, request, keep=False), keep=False)
            return
        policy = client.policy()
        profile = client.profile
        if profile is None:
            house.count.event("http_refused_client")
            self.refuse(403)
            return
        if request.method == b"CONNECT":
            self._wait_for(house.connect(self, client, policy))
            return
        parts = split(request.target)
        named = None if parts is None else house.judge.named(policy, profile, parts[0], request.host, client.fixed)
        if parts is None or named is None or (parts[1] == b"*" and request.method != b"OPTIONS"):
            house.count.event("http_malformed")
            self.refuse(400)
            return
        self._named, self._target = named, parts[1]
        if named.free and not named.own:
            house.count.add(house.allowed, 1)
        elif not named.own:
            keep = self.keeps
            said = ruled(client, policy, profile, named, parts[1], request, keep=keep)
            if said is not None:
                self.answer(said, keep=keep)
                return
        if request.method in (b"OPTIONS", b"TRACE") and not counted_down(request):
            self.refuse(200 if request.method == b"OPTIONS" else 405)
            return
        self._forward()

    def send(self, piece: bytes) -> None:
        """Take a piece of the request's body."""
        if self._over:
            return
        if self.request.chunked:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        if self._origin is None:
            self._held.append(piece)
            self.stalled = True
        else:
            self._origin.send(piece)

    def sent(self, trailers: Fields) -> None:
        """Take note that the request is whole."""
        self._sent = True
        if self.request.chunked and not self._over:
            last = last_chunk(trailers)
            if self._origin is None:
                self._held.append(last)
            else:
                self._origin.send(last)
        if self._over:
            self._end()

    def turned(self) -> bool:
        """Tell whether all that follows is of another protocol, if that comes about; if not, HTTP goes on."""
        self._turned = self._upgrades and not self._over
        return self._turned

    def broken(self, status: int) -> None:
        """Take note that the rest of the request cannot be read."""
        if not self._started:
            self._status = status
        elif self._over:
            self._client.finish()
        elif self._answered:
            self._drop()
            self._client.cut()
        else:
            self._drop()
            self.refuse(status, keep=False)

    def hold(self, *, yes: bool) -> None:
        """Let no more come from the origin, or again."""
        if self._origin is not None:
            self._origin.hold(yes=yes)

    def handed_over(self) -> None:
        """Take note that somebody else goes on with the client's connection."""
        self._over = True

    def abandon(self) -> None:
        """Take note that nobody waits for the answer any more."""
        self._over = True
        self._drop()

    # To the origin

    def _forward(self) -> None:
        client, named = self._client, self._named
        assert named is not None  # noqa: S101 - it was judged
        pool, key = client.house.pool, (named.place, client.source, client.is_local)
        origin = client.bound.pop(key, None) if client.bound else None
        self._bound = origin is not None
        if origin is None and client.first is None and not self._retried:
            repeatable = self.request.method in _REPEATABLE and not self.request.bodied
            origin = pool.take(key) if repeatable else pool.take_fresh(key, _FRESH_SECONDS)
        if origin is None or not origin.fit:
            self.stalled = self.request.bodied
            self._wait_for(self._dial(named, key))
        else:
            self._put(origin)

    def _wait_for(self, what: Coroutine[None, None, None]) -> None:
        self._dialling = task = self._client.house.loop.create_task(what)
        task.add_done_callback(self._waited)

    def _waited(self, task: asyncio.Task[None]) -> None:
        """Answer also where our own code failed."""
        self._dialling = None
        if not task.cancelled() and (exc := task.exception()) is not None:
            self._fail(exc)

    def _fail(self, exc: BaseException) -> None:
        self._client.house.failed("request", exc)
        self._drop()
        self.refuse(502, FAILED)

    async def _dial(self, named: Named, key: object) -> None:
        client, house = self._client, self._client.house
        first, client.first = client.first, None
        sock = first or await reached(self, client, named.place)
        if sock is not None:
            try:
                _, origin = await house.loop.create_connection(
                    lambda: Origin(key, house.sweeper, house.pool.gone, house.answers), sock=sock
                )
            except BaseException:
                sock.close()
                raise
            if first is not None:
                origin.used = 1  # it was kept for this client, and may have died meanwhile
            if self._over:
                origin.leave()
            else:
                self._put(origin)

    def _put(self, origin: Origin) -> None:
        client, request, named = self._client, self.request, self._named
        assert named is not None  # noqa: S101 - it was judged
        self._origin = origin
        head = client.house.heads.request(
            request, self._target, named.authority, client.address, upgrade=self._upgrades
        )
        origin.ask(self, head, is_head=is_head(request))
        if client.choked:
            origin.hold(yes=True)
        if self._held:
            origin.send(b"".join(self._held))
            self._held.clear()
        if self.stalled:
            self.stalled = False
            client.go_on()

    # What the origin tells

    def ended(self, trailers: Fields) -> None:
        """Take note that the response is whole: its connection may serve others."""
        origin, self._origin = self._origin, None
        self._last(trailers)
        if origin is not None:
            if not self._sent or not origin.fit:
                origin.leave()
            elif self._bound or self.request.binds:
                origin.rest()
                self._client.bound[origin.key] = origin
            else:
                self._client.house.pool.give(origin)
        self._close()

    def switched(self, rest: bytes) -> None:
        """Go on as a tunnel, if that is what was asked for."""
        origin = self._origin
        if origin is None or not self._turned:
            self._drop()
            self.refuse(502)
            return
        self._origin, self._over = None, True
        if self._switching is None or not switch(self._client, origin, self._switching, rest):
            self._client.cut()

    def lost(self) -> None:
        """Ask again if that is harmless, else say that there is no answer, or that what there was is not whole."""
        origin, self._origin = self._origin, None
        if self._over:
            return
        client = self._client
        if self._answered:
            client.cut()
            return
        late = origin is not None and origin.deadline <= client.house.loop.time()
        repeatable = self.request.method in _REPEATABLE and not self.request.bodied
        if origin is not None and origin.used > 1 and repeatable and not self._retried and not late:
            self._retried = True
            self._forward()
            return
        client.house.count.event("http_upstream_error")
        self.refuse(504 if late else 502)

    def choked(self, *, yes: bool) -> None:
        """Read no more of the request's body, or again."""
        self.stalled = yes
        if not yes:
            self._client.go_on()

    # Its end

    def _close(self) -> None:
        """Take note that the answer is whole; the request need not be."""
        self._over = True
        self._held.clear()
        if self._sent or not self._keep:
            self._end()
        elif self.stalled:
            self.stalled = False
            self._client.go_on()

    def _end(self) -> None:
        client = self._client
        if self._turned and self._keep:
            client.stay(self.request)
        client.finished(self, keep=self._keep)

    def _drop(self) -> None:
        origin, self._origin = self._origin, None
        if origin is not None:
            origin.leave()
        if self._dialling is not None:
            self._dialling.cancel()
