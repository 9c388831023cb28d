"""What is changed in a request before it goes on, and in a response before it comes back.

A proxy takes off what was meant for it (RFC 9110, section 7.6.1) and gives the origin no evidence of the client.
"""

from __future__ import annotations

from typing import Final

from mitmproxy import http

from filterproxy.core.authority import authority_of, bare
from filterproxy.core.urls import Url
from filterproxy.notice import seen

from .passthrough import Tunnel

_OURS: Final = frozenset({b"proxy-connection", b"proxy-authorization", b"keep-alive"})
_KEPT: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"cookie"})
"""Fields that a Connection field cannot take off: without them a message is framed or addressed differently."""
_COOKIE: Final = seen.NAME.encode()


def readdress(request: http.Request, target: Url, tunnel: Tunnel | None) -> None:
    """Make the request go to `target` in origin form: an absolute form replaces Host (RFC 9112, section 3.2.2)."""
    absolute = tunnel is None or (bool(request.data.authority) and not request.is_http2)
    if tunnel is None:
        # What was judged is what is dialled. The property would rewrite Host by its own rules.
        request.data.host = bare(target.host)
    if not absolute:
        return
    request.data.authority = b""
    # First (RFC 9112, section 3.2), in the place of all that the client gave.
    rest = tuple(field for field in request.headers.fields if field[0].lower() != b"host")
    request.headers.fields = ((b"Host", authority_of(target).encode()), *rest)


def clean_request(request: http.Request) -> None:
    """Take off what was meant for this proxy, our own cookie, and an upgrade to anything but WebSocket."""
    fields = request.headers.fields
    named = {
        token.strip().lower() for name, value in fields if name.lower() == b"connection" for token in value.split(b",")
    }
    websocket = request.headers.get("upgrade", "").lower() == "websocket"
    dropped = _OURS | (named - _KEPT)
    if not websocket:
        dropped |= {b"upgrade", b"http2-settings"}
    if not request.is_http2:
        dropped |= {b"te"}  # mitmproxy knows no trailers in HTTP/1
    kept = tuple(_without_ours(field) for field in fields if field[0].lower() not in dropped)
    request.headers.fields = tuple(field for field in kept if field[1] or field[0].lower() != b"cookie")


def clean_response(response: http.Response) -> None:
    """Take off the offer to come back over QUIC, past this proxy."""
    response.headers.pop("alt-svc", None)


def seen_cookies(request: http.Request) -> list[str]:
    """Return the values of our own cookie."""
    pairs = [pair.strip().partition("=") for value in request.headers.get_all("cookie") for pair in value.split(";")]
    return [value for name, _, value in pairs if name == seen.NAME]


def _without_ours(field: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name, value = field
    if name.lower() != b"cookie" or _COOKIE not in value:
        return field
    kept = [pair.strip() for pair in value.split(b";") if pair.strip().partition(b"=")[0] != _COOKIE]
    return name, b"; ".join(kept)
