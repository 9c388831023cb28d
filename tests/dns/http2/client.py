"""A client of HTTP/2, by the library h2, that speaks with ours in memory."""

from __future__ import annotations

from typing import NamedTuple

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

from filterproxy.dns.http2.connection import Http2
from filterproxy.dns.http2.heads import Fields, Heads
from filterproxy.dns.http2.outflow import Opening

FOUND = b"\x88"
"""The head of an answer: its status alone."""


class Said(NamedTuple):
    """What is made of a head here."""

    path: bytes
    length: int = -1


def said(fields: Fields) -> Said:
    return Said(fields.path, fields.length)


class Answer:
    """An answer, as far as it came."""

    def __init__(self) -> None:
        self.head: dict[bytes, bytes] = {}
        self.body = b""
        self.ended = False
        self.reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.head[b":status"])


class Client:
    """The client's side; what it wants to send is in `h2`."""

    def __init__(self, *, update: bool = True) -> None:
        """With `update` every byte that came gives room for another."""
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.answers: dict[int, Answer] = {}
        self.goaway: int | None = None
        self._update = update

    def ask(
        self, path: str = "/", body: bytes | None = None, *fields: tuple[str, str], method: str = "", ends: bool = True
    ) -> int:
        """Send a request, by POST where there is a body, and return its stream; without `ends` more would come."""
        stream = self.h2.get_next_available_stream_id()
        named = [(":method", method or ("GET" if body is None else "POST")), (":scheme", "https")]
        named += [(":authority", "dns.example"), (":path", path), *fields]
        self.h2.send_headers(stream, named, end_stream=body is None)
        if body is not None:
            for at in range(0, max(1, len(body)), 16_384):
                self.h2.send_data(stream, body[at : at + 16_384], end_stream=ends and at + 16_384 >= len(body))
        self.answers[stream] = Answer()
        return stream

    def receive(self, data: bytes) -> None:
        """Take what the server sent."""
        for event in self.h2.receive_data(data):
            if isinstance(event, ResponseReceived):
                self.answers[event.stream_id].head = dict(event.headers)
            elif isinstance(event, DataReceived):
                self.answers[event.stream_id].body += event.data
                if self._update:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self.answers[event.stream_id].ended = True
            elif isinstance(event, StreamReset):
                self.answers[event.stream_id].reset = int(event.error_code)
            elif isinstance(event, ConnectionTerminated):
                assert event.error_code is not None
                self.goaway = int(event.error_code)


class Pair:
    """Both sides of one connection; each request is answered with its path, or its body, unless it is held."""

    def __init__(self, heads: Heads[Said] | None = None, *, update: bool = True) -> None:
        self.heads = heads or Heads(said)
        self.server = Http2(self.heads)
        self.client = Client(update=update)
        self.client.h2.initiate_connection()
        self.asked: list[tuple[int, Said, bytes | None]] = []
        self.held: list[int] = []
        self.turn()

    def turn(self, *, hold: bool = False) -> None:
        """Let everything that was said arrive, until neither has more to say."""
        for _ in range(100):
            data = self.client.h2.data_to_send()
            self.put(data, hold=hold)
            back = self.server.take()
            if not data and not back:
                return
            self.client.receive(back)

    def put(self, data: bytes, *, hold: bool = False) -> None:
        """Let the server have `data`."""
        for stream, head, body in self.server.receive(data):
            self.asked.append((stream, head, body))
            if hold:
                self.held.append(stream)
            else:
                self.answer(stream, body or head.path)

    def answer(self, stream: int, body: bytes) -> None:
        self.server.answer(stream, Opening(FOUND, len(body)), body)
