"""Which URLs a request asks for: one for each name it gives, for a client chooses its names freely.

Pure but for mitmproxy's types. A request that cannot be read in one way only is no request (RFC 9112, section 3.2;
RFC 9113, section 8.3.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_from_bytes

from mitmproxy import http

from filterproxy.core.authority import place, url_of
from filterproxy.core.urls import Url

from .passthrough import Tunnel

_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
# A fragment or a control character in a request target is read by each server in its own way.
_BAD_TARGET: Final = re.compile(rb"[\x00-\x20\x7f#]")
_BAD_FIELD: Final = re.compile(rb"[\x00\r\n]")  # a folded line too (RFC 9112, section 5.2)
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for. `urls` holds a URL per name given; the first is where it goes."""

    urls: tuple[Url, ...]
    misdirected: bool = False
    """Whether its :authority cannot be served on this connection (RFC 9110, section 15.5.20)."""

    @property
    def target(self) -> Url:
        """Where it goes."""
        return self.urls[0]


def asked(request: http.Request, tunnel: Tunnel | None, *, http2: bool) -> Asked | None:
    """Return what `request` asks for, or None where it must be answered 400.

    `tunnel` is the CONNECT that it came through, if any; `http2` tells what its connection speaks.
    """
    host = _host_field(request)
    if host is None or not _sound(request, http2=http2):
        return None
    authority = _ascii(request.data.authority)
    if authority is None:
        return None
    if tunnel is None:
        given = [_join(request.data.host, request.data.port), host]
    else:
        if not authority and not host and not request.is_http10:
            return None
        given = [authority, host, _join(tunnel.host, tunnel.port), _join(tunnel.sni, tunnel.port)]
    found = {name: url_of(request.scheme, name, _path(request)) for name in given if name}
    read = [url for url in found.values() if url is not None]
    if len(read) < len(found) or not read:
        return None
    if http2 and authority and host and _differ(found[authority], found[host]):
        return None
    misdirected = http2 and tunnel is not None and not tunnel.serves(place(read[0]))
    return Asked(tuple(dict.fromkeys(read)), misdirected)


def _differ(one: Url | None, other: Url | None) -> bool:
    return one is None or other is None or place(one) != place(other)


def _host_field(request: http.Request) -> str | None:
    """Return the Host field, empty where there is none; None where there are two or it is not ASCII or empty."""
    values = [value for name, value in request.headers.fields if name.lower() == b"host"]
    if not values:
        return ""
    return None if len(values) > 1 else _ascii(values[0]) or None


def _sound(request: http.Request, *, http2: bool) -> bool:
    data = request.data
    versions = (b"HTTP/2.0",) if http2 else (b"HTTP/1.0", b"HTTP/1.1")
    if data.http_version not in versions or not _METHOD.fullmatch(data.method):
        return False
    if data.path == b"*":
        return data.method == b"OPTIONS"
    if not data.path.startswith(b"/") or _BAD_TARGET.search(data.path):
        return False
    return not any(_BAD_FIELD.search(name) or _BAD_FIELD.search(value) for name, value in data.headers.fields)


def _path(request: http.Request) -> str:
    path = request.data.path
    if path == b"*":
        return "/"  # asks about the server as a whole
    # Bytes beyond ASCII are escaped as they are, for they need not be UTF-8.
    return path.decode() if path.isascii() else quote_from_bytes(path, safe=_PRINTABLE)


def _ascii(value: bytes) -> str | None:
    return value.decode() if value.isascii() else None


def _join(host: str | None, port: int) -> str:
    if not host:
        return ""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
