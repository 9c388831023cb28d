"""Heads as they leave us: written anew from what was read, with one framing, and without what was meant for a proxy.

A proxy takes off the fields of the connection that they came by and those that a Connection field names, and says that
it stood in between (RFC 9110, sections 7.6.1 and 7.6.3). What it adds to a field that is there comes on a line behind
it, which means the same (section 5.3).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from .requests import Fields, Request
    from .responses import Response

type Forwarded = Literal["delete", "keep", "x-forwarded-for", "forwarded"]
"""What becomes of X-Forwarded-For and Forwarded: both are taken off; both go on as they came; or one of them tells of
our client, behind what it said itself (RFC 7239), and the other is taken off."""

_VIA: Final = b"Via: 1.1 filterproxy\r\n"
_OFF: Final = frozenset((
    b"connection", b"proxy-connection", b"keep-alive", b"te", b"transfer-encoding", b"content-length", b"upgrade",
    b"proxy-authorization", b"proxy-authenticate", b"proxy-authentication-info", b"http2-settings",
))  # fmt: skip
"""What never goes on as it came; how a message is framed and what it asks of the connection is said anew."""
_QUIC: Final = b"alt-svc"
"""The offer to come back over QUIC, past this proxy."""
_KEPT: Final = frozenset((
    b"authorization", b"cache-control", b"content-encoding", b"content-range", b"content-type", b"cookie", b"date",
    b"forwarded", b"location", b"range", b"set-cookie", b"trailer", b"via", b"x-forwarded-for",
))  # fmt: skip
"""Fields that a Connection field cannot take off: without them a message would mean something else."""
_NO_TRAILERS: Final = _OFF | _KEPT | {b"host", b"content-encoding", b"max-forwards", b"expect", b"age", b"expires"}
_USUAL: Final = frozenset((b"keep-alive", b"close", b"upgrade", b""))
_PLAIN, _AWAY, _CONNECTION, _COOKIE = range(4)
_SPELLINGS: Final = 4096


class Heads:
    """Writes the heads of messages, and remembers how fields are spelled: there are few ways."""

    def __init__(self, forwarded: Forwarded, cookie: bytes, *, via: bool = True) -> None:
        """`cookie` is the name of ours, which no origin sees; without `via` nobody is told that we stand in between."""
        told = {"x-forwarded-for": {b"forwarded"}, "forwarded": {b"x-forwarded-for"}, "keep": set[bytes]()}
        away = told.get(forwarded, {b"forwarded", b"x-forwarded-for"})
        self._requests, self._responses = _Kinds(_OFF | away | {b"host"}, cookies=True), _Kinds(_OFF | {_QUIC})
        self._forwarded, self._cookie, self._via = forwarded, cookie, _VIA if via else b""

    def request(self, request: Request, target: bytes, authority: bytes, client: str, *, upgrade: bool) -> bytes:
        """Return the head that an origin gets: in origin form, for the host `authority`.

        `client` is the client's address; with `upgrade` a WebSocket is asked for.
        """
        block = request.block
        if block is not None and block.written is not None and block.written[0] is self:
            copied = block.written[1]
        else:
            lines: list[bytes] = []
            self._copy(request.fields, self._requests, lines)
            copied = b"".join(lines)
            if block is not None:
                block.written = self, copied
        out = [request.method, b" ", target, b" HTTP/1.1\r\nHost: ", authority, b"\r\n", copied, self._via]
        if self._forwarded == "x-forwarded-for":
            out.append(b"X-Forwarded-For: %b\r\n" % client.encode())
        elif self._forwarded == "forwarded":
            out.append(b"Forwarded: for=%b\r\n" % _node(client))
        if upgrade:
            out.append(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
        _frame(request.length, request.chunked, out)
        return b"".join(out)

    def response(self, response: Response, *, chunked: bool, keep: bool | None, upgrade: bool = False) -> bytes:
        """Return the head that a client gets: with a body in chunks where `chunked`, else of the length that it has.

        `keep` tells the client whether its connection stands; None where it need not be told.
        """
        plain = not chunked and keep is None and not upgrade
        if plain and response.written is not None and response.written[0] is self:
            return response.written[1]
        out = [b"HTTP/1.1 %d " % response.status, response.reason, b"\r\n"]
        self._copy(response.fields, self._responses, out)
        out.append(self._via)
        if upgrade:
            out.append(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
        elif keep is not None:
            out.append(b"Connection: keep-alive\r\n" if keep else b"Connection: close\r\n")
        _frame(response.length, chunked, out)
        head = b"".join(out)
        if plain:
            response.written = self, head
        return head

    def _copy(self, fields: Fields, kinds: _Kinds, out: list[bytes]) -> None:
        memo, named = kinds.memo, None
        for name, value in fields:
            kind = memo.get(name)
            if kind is None:
                kind = kinds.learn(name)
            if not kind:
                out += (name, b": ", value, b"\r\n")
            elif kind == _COOKIE:
                if value := self._others(value):
                    out += (name, b": ", value, b"\r\n")
            elif kind == _CONNECTION:
                tokens = {token.strip(b" \t").lower() for token in value.split(b",")} - _USUAL - _KEPT
                named = tokens | named if named else tokens
        if named:
            for at in range(len(out) - 4, -1, -1):  # a field's line is its name, two separators and a value between
                if out[at + 1 : at + 4 : 2] == [b": ", b"\r\n"] and out[at].lower() in named:
                    del out[at : at + 4]

    def _others(self, cookies: bytes) -> bytes:
        """Return what a Cookie field holds beside ours."""
        if self._cookie not in cookies:
            return cookies
        pairs = (pair.strip(b" \t") for pair in cookies.split(b";"))
        return b"; ".join(pair for pair in pairs if pair and pair.partition(b"=")[0] != self._cookie)


class _Kinds:
    """What is done with a field, by its spelling."""

    def __init__(self, away: frozenset[bytes], *, cookies: bool = False) -> None:
        self._away, self._cookies = away, cookies
        self.memo: dict[bytes, int] = {}

    def learn(self, name: bytes) -> int:
        lower = name.lower()
        if lower == b"connection":
            found = _CONNECTION
        elif lower == b"cookie" and self._cookies:
            found = _COOKIE
        else:
            found = _AWAY if lower in self._away else _PLAIN
        if len(self.memo) >= _SPELLINGS:
            self.memo.clear()
        self.memo[name] = found
        return found


def counted_down(request: Request) -> bool:
    """Count Max-Forwards down where it stands (RFC 9110, section 7.6.2); False where the request goes no further."""
    for at, (name, value) in enumerate(request.fields):
        if name.lower() == b"max-forwards" and value.isdigit():
            left = int(value[:9])
            request.block, request.fields = None, list(request.fields)  # the others' stay as they are
            request.fields[at] = (name, b"%d" % (left - 1))
            return left > 0
    return True


def last_chunk(trailers: Fields) -> bytes:
    """Return the end of a body in chunks, without trailers that say what none may (RFC 9110, section 6.5.1)."""
    kept = [b"%b: %b\r\n" % (name, value) for name, value in trailers if name.lower() not in _NO_TRAILERS]
    return b"0\r\n" + b"".join(kept) + b"\r\n"


def _frame(length: int | None, chunked: bool, out: list[bytes]) -> None:  # noqa: FBT001
    """End a head with how its body is framed (RFC 9112, section 6)."""
    if chunked:
        out.append(b"Transfer-Encoding: chunked\r\n\r\n")
    elif length is not None:
        out.append(b"Content-Length: %d\r\n\r\n" % length)
    else:
        out.append(b"\r\n")


def _node(client: str) -> bytes:
    """Return an address as Forwarded spells it (RFC 7239, section 6)."""
    address = ipaddress.ip_address(client)
    return str(address).encode() if address.version == 4 else b'"[%b]"' % str(address).encode()
