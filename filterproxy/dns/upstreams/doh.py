"""Questions over HTTPS: one HTTP/2 connection, a stream for each (RFC 8484)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from filterproxy.dns.answers import TCP_SIZE

from .links import AGAIN, PIPELINED, Link
from .message import Fit, fit

if TYPE_CHECKING:
    from h2.events import Event

    from .exchange import Exchange
    from .links import Links

MOST_HEADERS = 8192
"""Bytes of headers that a response may have."""
MEDIA_TYPE = b"application/dns-message"

_ID = b"\0\0"  # RFC 8484, section 4.1
_STATUS, _CONTENT_TYPE = b":status", b"content-type"


@dataclass(frozen=True, slots=True)
class Url:
    """What is asked for; `name` is the host's, or its address."""

    name: str
    port: int
    path: str

    def headers(self, size: int) -> list[tuple[bytes, bytes]]:
        """Return the headers of a question of `size` bytes."""
        host = f"[{self.name}]" if ":" in self.name else self.name
        authority = host if self.port == 443 else f"{host}:{self.port}"
        return [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", authority.encode()),
            (b":path", self.path.encode()),
            (b"accept", MEDIA_TYPE),
            (b"content-type", MEDIA_TYPE),
            (b"content-length", str(size).encode()),
        ]


class Http(Link):
    """One HTTP/2 connection."""

    def __init__(self, links: Links, url: Url) -> None:
        self._url = url
        self._bodies: dict[int, bytearray] = {}
        """What was received of answers that are answers so far."""
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        limits = {
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.MAX_CONCURRENT_STREAMS: 0,
            SettingCodes.MAX_HEADER_LIST_SIZE: MOST_HEADERS,
        }
        self._h2.local_settings = Settings(client=True, initial_values=limits)
        self._h2.decoder.max_header_list_size = MOST_HEADERS
        super().__init__(links)

    def begin(self) -> bool:
        """Say the preface; not where the other side speaks no HTTP/2."""
        tls = None if self.transport is None else self.transport.get_extra_info("ssl_object")
        if tls is None or tls.selected_alpn_protocol() != "h2":
            return False
        self._h2.initiate_connection()
        self._flush()
        return True

    def pump(self) -> None:
        """Send what is queued, as far as the other side has room for streams and bytes."""
        http, queue, now = self._h2, deque(self.queue), monotonic()
        room = min(PIPELINED, http.remote_settings.max_concurrent_streams)
        while queue and len(self.waiting) < room:
            question = queue[0].question
            section = question.name + question.tail
            message = queue[0].message(_ID, section)
            if len(message) > min(http.outbound_flow_control_window, http.remote_settings.initial_window_size):
                break
            try:
                number = http.get_next_available_stream_id()
                http.send_headers(number, self._url.headers(len(message)))
                http.send_data(number, message, end_stream=True)
            except H2Error:  # it is closed, or has had its two thousand million streams
                self.retired = True
                break
            exchange = queue.popleft()
            exchange.sent_at = now
            self.waiting[number] = exchange, section
        self.queue = list(queue)
        self._flush()

    def received(self, data: bytes) -> bool:
        """Take what arrived; return False where it is no HTTP/2."""
        try:
            events = self._h2.receive_data(data)
        except H2Error:
            return False
        for event in events:
            if self.ended:
                return True
            self._happened(event)
        if not self.ended:
            self.pump()
        return True

    def dropped(self, ident: int) -> None:
        """Tell the other side that an answer is waited for no more."""
        self._bodies.pop(ident, None)
        try:
            self._h2.reset_stream(ident, ErrorCodes.CANCEL)
        except H2Error:
            return  # it has ended itself
        self._flush()

    def _happened(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            headers = dict(event.headers)
            if headers[_STATUS] == b"200" and headers.get(_CONTENT_TYPE, b"").startswith(MEDIA_TYPE):
                self._bodies[event.stream_id] = bytearray()
        elif isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            body = self._bodies.get(event.stream_id)
            if body is not None:
                body += event.data
                if len(body) > TCP_SIZE:
                    self._answered(event.stream_id, None)
                    self.dropped(event.stream_id)
        elif isinstance(event, StreamEnded):
            self._answered(event.stream_id, self._bodies.pop(event.stream_id, None))
        elif isinstance(event, StreamReset):
            self._reset(event)
        elif isinstance(event, ConnectionTerminated):
            self.end()  # what it had begun to answer too: a question may be asked twice

    def _answered(self, number: int, body: bytes | bytearray | None) -> None:
        exchange, section = self.waiting.pop(number, (None, b""))
        if exchange is None:
            return
        fits = Fit.NONE if body is None or body[:2] != _ID else fit(bytes(body), section)
        if body is None or fits is Fit.NONE:
            exchange.misheard(self.heard_at)
        else:
            exchange.heard(bytes(body), self.heard_at, exact=fits is Fit.EXACT)

    def _reset(self, event: StreamReset) -> None:
        """Ask anew what the other side had no room for; nothing else is worth it."""
        exchange: Exchange | None = self.waiting.pop(event.stream_id, (None, b""))[0]
        self._bodies.pop(event.stream_id, None)
        if exchange is None:
            return
        if event.error_code == ErrorCodes.REFUSED_STREAM and exchange.again < AGAIN:
            exchange.again += 1
            self.links.ask(exchange)
        else:
            exchange.misheard(self.heard_at)

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)
