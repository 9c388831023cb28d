"""mitmproxy's side towards the client, made sober: bounded heads, no echo of a request, no body kept for nothing.

mitmproxy answers what it cannot parse with a page that quotes the request, keeps a head of any length, and gathers
the whole body of a request that was answered long ago.
"""

from __future__ import annotations

from typing import Final, Protocol

from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.http._base import HttpConnection, HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import ErrorCode, RequestData, RequestProtocolError, ResponseProtocolError
from mitmproxy.proxy.layers.http._http1 import Http1Server
from mitmproxy.proxy.layers.http._http2 import Http2Server

from .guard import TARGET_REFUSED

MAX_HEAD: Final = 65_536
"""Bytes of a request head at most, give or take one read."""


class Page(Protocol):
    """Makes our own page for an error."""

    def __call__(self, status: int, *, head: bool = False) -> http.Response:
        """Return a response with that status, without a body where it answers a HEAD."""


def sober(http_layer: HttpLayer, page: Page) -> None:
    """Give an HTTP layer that has not started our side towards the client."""
    context = http_layer.context
    make = SoberHttp2 if context.client.alpn == b"h2" else SoberHttp1
    # mitmproxy looks here before it makes its own.
    http_layer.connections[context.client] = make(context.fork(), http_layer, page)


class _Sober(HttpConnection):
    _http_layer: HttpLayer
    _page: Page

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, ResponseProtocolError):
            event = _without_message(event)
        for command in super()._handle_event(event):
            if not self._is_for_nobody(command):
                yield command

    def _is_for_nobody(self, command: commands.Command) -> bool:
        """Tell whether this is a piece of the body of a request that an addon has answered already."""
        if not isinstance(command, ReceiveHttp) or not isinstance(command.event, RequestData):
            return False
        stream = self._http_layer.streams.get(command.event.stream_id)
        if stream is None or stream.client_state != stream.state_consume_request_body:
            return False
        return stream.flow.response is not None


class SoberHttp1(_Sober, Http1Server):
    """HTTP/1 towards the client."""

    def __init__(self, context: Context, http_layer: HttpLayer, page: Page) -> None:
        super().__init__(context)
        self._http_layer, self._page = http_layer, page

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, ResponseProtocolError) and self.response is None:
            status = _status(event)
            if status is not None and self.conn.state & ConnectionState.CAN_WRITE:
                yield commands.SendData(self.conn, self._last_page(status))
            yield commands.CloseConnection(self.conn)
        else:
            yield from super().send(event)

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        while bytes(self.buf)[:2] == b"\r\n":  # mitmproxy would wait for ever (RFC 9112, section 2.2)
            self.buf.maybe_extract_at_most(2)
        for command in super().read_headers(event):
            # All that is sent from here is mitmproxy's 400, which quotes the request line.
            yield (
                commands.SendData(self.conn, self._last_page(400))
                if isinstance(command, commands.SendData)
                else command
            )
        if self.state == self.read_headers and len(self.buf) > MAX_HEAD:
            yield commands.SendData(self.conn, self._last_page(431))
            yield commands.CloseConnection(self.conn)
            self.state = self.done

    def read_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        try:
            yield from super().read_body(event)
        except NotImplementedError:  # trailers: mitmproxy would leave the connection hanging
            yield commands.CloseConnection(self.conn)
            yield ReceiveHttp(RequestProtocolError(self.stream_id, "", ErrorCode.GENERIC_CLIENT_ERROR))
            self.state = self.done

    def _last_page(self, status: int) -> bytes:
        """Return a short page as the last bytes of the connection."""
        page = self._page(status)
        page.headers["Connection"] = "close"
        last: bytes = http1.assemble_response(page)
        return last


class SoberHttp2(_Sober, Http2Server):
    """HTTP/2 towards the client. Its heads are bounded by h2."""

    def __init__(self, context: Context, http_layer: HttpLayer, page: Page) -> None:
        super().__init__(context)
        self._http_layer, self._page = http_layer, page

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        status = _status(_without_message(event)) if isinstance(event, ResponseProtocolError) else None
        if isinstance(event, ResponseProtocolError) and status is not None and self._is_unanswered(event.stream_id):
            yield from self._send_page(event.stream_id, status)
        else:
            yield from super()._handle_event(event)

    def _send_page(self, stream_id: int, status: int) -> layer.CommandGenerator[None]:
        stream = self._http_layer.streams.get(stream_id)
        page = self._page(status, head=stream is not None and stream.flow.request.method == "HEAD")
        fields = [(b":status", b"%d" % status), *((name.lower(), value) for name, value in page.headers.fields)]
        self.h2_conn.send_headers(stream_id, fields, end_stream=not page.content)
        if page.content:
            self.h2_conn.send_data(stream_id, page.content, end_stream=True)
        yield commands.SendData(self.conn, self.h2_conn.data_to_send())

    def _is_unanswered(self, stream_id: int) -> bool:
        """Tell whether a stream still waits for the head of a response; else all that is left is to reset it."""
        stream = self.h2_conn.streams.get(stream_id)
        return self.is_open_for_us(stream_id) and stream is not None and not stream.state_machine.headers_sent


def _status(event: ResponseProtocolError) -> int | None:
    """Return the status that an error is told with, None where there is none."""
    status: int | None = event.code.http_status_code()
    return 403 if event.message else status


def _without_message(event: ResponseProtocolError) -> ResponseProtocolError:
    """Return the event with a status where mitmproxy would only hang up, and without a word of the request.

    What is left of its message tells a target that may not be reached from all else.
    """
    code = ErrorCode.GENERIC_SERVER_ERROR if event.code is ErrorCode.KILL else event.code
    return ResponseProtocolError(event.stream_id, TARGET_REFUSED if TARGET_REFUSED in event.message else "", code)
