"""What a client sends, read by llhttp: heads, bodies, trailers, and nothing that could be read in two ways.

No socket: bytes go in, a sink is told. llhttp refuses most of what is ambiguous (RFC 9112, sections 2.2, 3, 6.1, 6.3,
7.1, 11.2); what it lets through is refused here: a transfer coding in HTTP/1.0, a coding that is not chunked, a version
that is not ours, a Host that is given twice or not at all, a body where none is defined.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from .memo import Memo

LONGEST_HEAD: Final = 65_536
"""Bytes of a head at most, give or take one slice."""
SLICE: Final = 16_384
"""Bytes that are read at once: so much of what a client sends ahead is understood before it is its turn."""

_NOTHING: Final = Memo["Block"]()
_NO_TRAILERS: Final[list[tuple[bytes, bytes]]] = []

type Fields = list[tuple[bytes, bytes]]
"""Names as they were spelled, values without blanks around them."""

# A fragment or a control character in a target is read by each server in its own way.
_TARGET: Final = re.compile(rb"[\x21\x22\x24-\x7e]+")
_LINE: Final = re.compile(rb"(GET|HEAD) ((?:http:/)?/[\x21\x22\x24-\x7e]*) HTTP/1\.1")
"""The first line of a request that may be read without llhttp, if the rest is known."""
BINDING: Final = (b"ntlm", b"negotiate")
"""Ways to log in that name the client once for a whole connection."""
_VERSIONS: Final = {"1.1": 1, "1.0": 0}
_TOLD: Final = {len(name): name for name in (b"host", b"content-length", b"transfer-encoding", b"authorization")}
"""The fields that say how a request is framed and addressed, by their length: most others are told apart by that."""


class RefusedError(Exception):
    """What arrived has not one reading, or none by us: it is answered with `status`, and the connection ends."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Block:
    """The fields of a request without a body, as all requests have them that carry the same bytes."""

    __slots__ = ("binds", "fields", "host", "keep", "written")

    def __init__(self, request: Request) -> None:
        """Take what was read once."""
        self.fields, self.host, self.keep, self.binds = request.fields, request.host, request.keep, request.binds
        self.written: tuple[object, bytes] | None = None
        """By whom they were written anew, and how."""


class Request:
    """The head of a request. What a Connection field names is not yet taken off."""

    __slots__ = (
        "binds",
        "block",
        "chunked",
        "fields",
        "host",
        "keep",
        "length",
        "method",
        "minor",
        "target",
        "upgrade",
    )

    def __init__(self, method: bytes, target: bytes, minor: int, fields: Fields) -> None:
        """Take what was read."""
        self.method, self.target, self.minor, self.fields = method, target, minor, fields
        self.binds = False
        """Whether the connection that it goes on has the client's name from then on (RFC 4559, NTLM)."""
        self.block: Block | None = None
        """What it shares with others."""
        self.host: bytes | None = None
        """The Host field."""
        self.length: int | None = None
        """Bytes of the body, where the head tells; None with `chunked`, or without a body."""
        self.chunked = False
        self.keep = False
        """Whether the client lets the connection stand (RFC 9112, section 9.3)."""
        self.upgrade = False
        """Whether it asks for another protocol (RFC 9110, section 7.8)."""

    @property
    def websocket(self) -> bool:
        """Whether that is the one protocol that may follow HTTP here (RFC 6455, section 4.1)."""
        if self.method != b"GET" or self.bodied or not self.minor:
            return False
        return any(name.lower() == b"upgrade" and value.lower() == b"websocket" for name, value in self.fields)

    @property
    def bodied(self) -> bool:
        """Whether a body follows, were it an empty one."""
        return self.chunked or self.length is not None


class Sink(Protocol):
    """Is told what was read, in its order."""

    def begun(self, request: Request) -> None:
        """Take the head of the next request."""

    def body(self, piece: bytes) -> None:
        """Take a piece of its body."""

    def ended(self, trailers: Fields) -> None:
        """Take note that the request is whole; `trailers` are most often none."""


class Requests:
    """Reads one client's requests."""

    __slots__ = (
        "_blocks", "_count", "_fields", "_last", "_parser", "_quiet", "_request", "_since", "_sink", "_size", "_status",
        "_target",
    )  # fmt: skip

    def __init__(self, sink: Sink, blocks: Memo[Block] = _NOTHING) -> None:
        """Tell `sink` what is read; `blocks` are known already."""
        self._sink, self._blocks = sink, blocks
        self._parser = HttpRequestParser(self)
        self._last: Request | None = None
        self._count = self._since = 0
        self._target = b""
        self._fields: Fields = []
        self._request: Request | None = None
        self._size = 0
        self._status = 400
        self._quiet = False

    @property
    def within(self) -> bool:
        """Whether a request has begun and is not whole."""
        return self._request is not None or self._size > 0

    def feed(self, data: bytes) -> bytes | None:
        """Read `data`, a slice. Return what follows a request for another protocol, unread; else None.

        Raises RefusedError; nothing more can be read then.
        """
        alone = False
        if self._request is None:
            if not self._size:
                at = data.find(b"\r\n")
                if (block := self._blocks.get(data[at:])) is not None and self._read_known(data, at, block):
                    return None
                alone = at > 0
            self._size += len(data)
        begun = self._count
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as exc:
            return data[exc.args[0] :]
        except HttpParserInvalidMethodError:
            raise RefusedError(501) from None
        except HttpParserError as exc:
            cause = exc.__context__ if isinstance(exc, HttpParserCallbackError) else None
            if isinstance(cause, Exception) and not isinstance(cause, RefusedError):
                raise cause from None  # our own code failed, and not the client
            raise RefusedError(self._status) from None
        self._since += len(data)
        if self._request is not None and self._since > LONGEST_HEAD + len(data):
            raise RefusedError(431)  # trailers without an end
        if self._request is None:
            if self._size > LONGEST_HEAD:
                raise RefusedError(431)
            if alone and not self._size and self._count == begun + 1:
                self._remember(data)
        return None

    def _read_known(self, data: bytes, at: int, block: Block) -> bool:
        """Read a request of which all but the first line is known."""
        line = _LINE.fullmatch(data, 0, at)
        if line is None:
            return False
        request = Request(line[1], line[2], 1, block.fields)
        request.host, request.keep, request.binds, request.block = block.host, block.keep, block.binds, block
        if not block.keep:
            return False  # llhttp must learn that it was the last
        self._sink.begun(request)
        self._sink.ended(_NO_TRAILERS)
        return True

    def _remember(self, data: bytes) -> None:
        """Know the fields of a request that came whole, by itself, and has nothing that asks for more."""
        request, self._last = self._last, None
        if request is None or request.bodied or request.upgrade or not request.minor or not data.endswith(b"\r\n\r\n"):
            return
        if request.method in (b"GET", b"HEAD"):
            self._blocks.put(data[data.find(b"\r\n") :], Block(request))

    def stay(self, request: Request) -> None:
        """Go on with HTTP after a request for another protocol, of which llhttp leaves the body unread."""
        self._parser, self._quiet, request.upgrade = HttpRequestParser(self), True, False
        if request.chunked:
            self._parser.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        elif request.length:
            self._parser.feed_data(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % request.length)
        self._quiet = False

    def forget(self) -> None:
        """Let go of the sink and of llhttp, which holds this: nothing is read any more, and no circle is left."""
        del self._parser, self._sink

    # What llhttp tells

    def on_message_begin(self) -> None:
        # Also behind a request that came whole: what was read of this one must not be taken for nothing.
        if not self._quiet:
            self._size = self._size or 1

    def on_url(self, piece: bytes) -> None:
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        target, fields = self._target, self._fields
        self._target, self._fields = b"", []
        if self._quiet:
            return
        try:
            parser = self._parser
            request = _understood(parser.get_method(), target, parser.get_http_version(), fields)
        except RefusedError as exc:
            self._status = exc.status
            raise
        request.keep, request.upgrade = parser.should_keep_alive(), parser.should_upgrade()
        self._request = self._last = request
        self._since = 0
        self._count += 1
        self._sink.begun(request)

    def on_body(self, piece: bytes) -> None:
        self._since = 0
        self._sink.body(piece)

    def on_message_complete(self) -> None:
        request, trailers = self._request, self._fields
        if self._quiet or request is None:
            return
        if request.upgrade and (request.chunked or request.length):
            return  # so it says at the head of what asks for another protocol, which is no end; see `stay`
        self._fields, self._request, self._size = [], None, 0
        self._sink.ended(trailers)


def _understood(method: bytes, target: bytes, version: str, fields: Fields) -> Request:
    minor = _VERSIONS.get(version)
    if minor is None:
        raise RefusedError(505)
    if not _TARGET.fullmatch(target):
        raise RefusedError(400)
    request = Request(method, target, minor, fields)
    for name, value in fields:
        told = _TOLD.get(len(name))
        if told is not None and name.lower() == told:
            _take(request, told, value)
    if request.host is None and minor:
        raise RefusedError(400)  # RFC 9112, section 3.2
    if method == b"CONNECT" and request.bodied:
        raise RefusedError(400)  # RFC 9110, section 9.3.6
    return request


def _take(request: Request, name: bytes, value: bytes) -> None:
    if name == b"authorization":
        request.binds = request.binds or value.lower().startswith(BINDING)
    elif name == b"host":
        if request.host is not None:
            raise RefusedError(400)
        request.host = value
    elif name == b"content-length":
        request.length = int(value)  # llhttp has seen to it that these are digits, and few
    elif value.lower() != b"chunked":
        raise RefusedError(501)
    elif not request.minor:
        raise RefusedError(400)  # RFC 9112, section 6.1
    else:
        request.chunked = True
