"""What an origin sends, read by llhttp: what answers one request, and nothing beyond it.

No socket, as in `requests`. llhttp does not know what was asked, and what it lets through is refused here: a body where
none can be, a transfer coding that is not chunked or in HTTP/1.0, a status that is none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from .memo import Memo
from .requests import LONGEST_HEAD

if TYPE_CHECKING:
    from .requests import Fields

_NOTHING: Final = Memo["Response"]()
_VERSIONS: Final = {"1.1": 1, "1.0": 0}
_REASON: Final = re.compile(rb"[\t \x21-\x7e\x80-\xff]*")
_TOLD: Final = {len(name): name for name in (b"content-length", b"transfer-encoding", b"www-authenticate")}


class BrokenError(Exception):
    """An origin did not send what can be passed on: 502 where nothing was, and the connection to it ends."""


class Response:
    """The head of a response. What a Connection field names is not yet taken off."""

    __slots__ = ("bodied", "chunked", "fields", "keep", "length", "minor", "offers", "reason", "status", "written")

    def __init__(self, status: int, reason: bytes, minor: int, fields: Fields) -> None:
        """Take what was read."""
        self.status, self.reason, self.minor, self.fields = status, reason, minor, fields
        self.length: int | None = None
        """What Content-Length says, also where no body follows (RFC 9110, section 8.6)."""
        self.chunked = False
        self.bodied = True
        """Whether a body follows; one without `length` and `chunked` ends with the connection."""
        self.offers: tuple[bytes, ...] = ()
        """The ways to log in that it offers (RFC 9110, section 11.6.1), as they stand there."""
        self.written: tuple[object, bytes] | None = None
        """By whom it was written anew for a client that keeps its connection, and how."""
        self.keep = False
        """Whether the connection may be used again once the response is whole."""

    @property
    def interim(self) -> bool:
        """Whether the response proper is still to come (RFC 9110, section 15.2)."""
        return self.status < 200 and self.status != 101


class Sink(Protocol):
    """Is told what was read, in its order."""

    def answered(self, response: Response) -> None:
        """Take the head of a response: any number that are `interim`, then one that is not."""

    def body(self, piece: bytes) -> None:
        """Take a piece of its body."""

    def ended(self, trailers: Fields) -> None:
        """Take note that the response is whole."""


class Responses:
    """Reads what answers the requests that are put to one origin, one after the other."""

    __slots__ = (
        "_asked", "_bodiless", "_fields", "_fresh", "_got", "_head", "_heads", "_left", "_over", "_parser",
        "_read", "_reason",
        "_response", "_since", "_sink", "_size",
    )  # fmt: skip

    def __init__(self, sink: Sink, heads: Memo[Response] = _NOTHING) -> None:
        """Tell `sink` what is read; `heads` are known already. Whatever comes before `ask` is refused."""
        self._sink, self._heads = sink, heads
        self._got = self._left = self._read = self._since = 0
        self._over = False
        """Whether a response has ended in what is being read."""
        self._fresh: Response | None = None
        self._parser = HttpResponseParser(self)
        self._reason = b""
        self._fields: Fields = []
        self._response: Response | None = None
        self._size = 0
        self._asked = self._head = self._bodiless = False

    @property
    def pending(self) -> bool:
        """Whether a response is awaited or not yet whole."""
        return self._asked

    def ask(self, *, head: bool) -> None:
        """Expect what answers the next request; where that was a HEAD, a response without a body."""
        if self._bodiless:
            self._parser, self._bodiless = HttpResponseParser(self), False
        self._asked, self._head = True, head

    def feed(self, data: bytes) -> bytes | None:
        """Read `data`. Return what follows a change of protocol (101), unread; else None. Raises BrokenError."""
        if not self._asked:
            raise BrokenError("more than was asked for")
        if self._left:
            self._count(data)
            return None
        alone, at = False, 0
        if self._response is None:
            if not self._size and not self._head:
                at = data.find(b"\r\n\r\n") + 4
                if (known := self._heads.get(data[:at])) is not None:
                    self._read_known(known, data[at:])
                    return None
                alone = at > 3 and data.startswith(b"HTTP/")
            self._size += len(data)
        self._begin()
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as exc:
            self._response, self._asked = None, False
            return data[exc.args[0] :]
        except HttpParserError as exc:
            raise _ours(exc) from None
        self._check(data, data[:at] if alone else b"")
        return None

    def _check(self, data: bytes, head: bytes) -> None:
        """Look at where `data` has led; it came with nothing before it if `head`, which it began with, is given."""
        if head and self._read == 1 and (fresh := self._fresh) is not None and _is_plain(fresh):
            self._heads.put(head, fresh)
        response = self._response
        self._since += len(data)
        if response is not None and self._since > LONGEST_HEAD + len(data):
            raise BrokenError("trailers that are too long")
        if response is not None and response.status == 101:
            raise BrokenError("another protocol, and not which")
        if response is None and self._size > LONGEST_HEAD:
            raise BrokenError("a head that is too long")
        if response is not None and head and response.length is not None and not response.chunked:
            # Of what follows only the length matters, so llhttp need not read it, nor copy it.
            self._left = response.length - self._got
            self._parser = HttpResponseParser(self)

    def _begin(self) -> None:
        self._got = self._read = 0
        self._fresh, self._over = None, False

    def _read_known(self, known: Response, body: bytes) -> None:
        """Read a response whose head is known, with what came of its body."""
        self._response, self._left = known, known.length or 0
        self._sink.answered(known)
        if body or not self._left:
            self._count(body)

    def _count(self, body: bytes) -> None:
        """Pass on what belongs to a body of known length."""
        piece = body[: self._left]
        self._left -= len(piece)
        if piece:
            self._sink.body(piece)
        if not self._left:
            self._end()
        if len(piece) < len(body):
            raise BrokenError("more than was asked for")

    def close(self) -> bool:
        """Tell whether the response is whole now that the origin sends no more: such is one without a length."""
        response = self._response
        if response is None or response.chunked or response.length is not None or self._bodiless:
            return False
        self._end()
        return True

    def forget(self) -> None:
        """Let go of the sink and of llhttp, which holds this: nothing is read any more, and no circle is left."""
        del self._parser, self._sink

    # What llhttp tells

    def on_message_begin(self) -> None:
        if self._over:
            raise BrokenError("more than was asked for")  # whatever was asked meanwhile: this came too early for it

    def on_status(self, piece: bytes) -> None:
        self._reason += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        parser, fields, reason = self._parser, self._fields, self._reason
        self._fields, self._reason = [], b""
        if not self._asked or self._bodiless or self._over:
            raise BrokenError("more than was asked for")
        status, minor = parser.get_status_code(), _VERSIONS.get(parser.get_http_version())
        if minor is None or not 100 <= status <= 599 or not _REASON.fullmatch(reason):
            raise BrokenError("no response of ours")
        response = Response(status, reason, minor, fields)
        for name, value in fields:
            told = _TOLD.get(len(name))
            if told is not None and name.lower() == told:
                _take(response, told, value)
        if self._head or status < 200 or status in (204, 304):
            response.bodied = False
            if response.chunked and (status < 200 or status == 204):
                raise BrokenError("a body where none can be")  # RFC 9112, section 6.1
        response.keep = parser.should_keep_alive() and (
            not response.bodied or response.chunked or response.length is not None
        )
        self._response = self._fresh = response
        self._read += 1
        self._since = 0
        self._sink.answered(response)
        if self._head and not response.interim:
            # llhttp waits for the body now. Whatever comes of it is more than was asked for.
            self._bodiless = True
            self._end()

    def on_body(self, piece: bytes) -> None:
        if self._bodiless or self._over:
            raise BrokenError("a body where none can be")
        self._since = 0
        self._got += len(piece)
        self._sink.body(piece)

    def on_message_complete(self) -> None:
        response = self._response
        if response is None or self._over:
            return
        if response.interim:
            self._response, self._size = None, 0
        elif response.status != 101:  # which ends with a change of protocol, or in nonsense
            self._end()

    def _end(self) -> None:
        trailers, self._fields = self._fields, []
        self._response, self._size, self._asked, self._over = None, 0, False, True
        self._sink.ended(trailers)


def _ours(exc: HttpParserError) -> Exception:
    """Return what is raised for an error of llhttp's: what our own code raised within it stays that."""
    cause = exc.__context__ if isinstance(exc, HttpParserCallbackError) else None
    if isinstance(cause, Exception) and not isinstance(cause, BrokenError):
        return cause
    return BrokenError("no response that can be read in one way")


def _is_plain(response: Response) -> bool:
    """Tell whether another one with the same head can be read by that alone."""
    return response.bodied and response.length is not None and not response.chunked and response.keep


def _take(response: Response, name: bytes, value: bytes) -> None:
    if name == b"www-authenticate":
        response.offers += (value.lower(),)
    elif name == b"content-length":
        response.length = int(value)
    elif value.lower() != b"chunked" or not response.minor:
        raise BrokenError("a transfer coding that is not ours")
    else:
        response.chunked = True
