"""Whatever a client of DNS over HTTPS sends is answered, refused or the end of its connection, within bounds."""

from __future__ import annotations

import base64

from filterproxy.dns.doh_words import OK, Site, opening_of, refusals
from filterproxy.dns.http2 import frames, inflow
from filterproxy.dns.http2.connection import Http2
from filterproxy.dns.http2.frames import PREFACE, frame
from filterproxy.dns.http2.heads import Heads
from tests.dns.fakes import query
from tests.dns.fuzzing import MARK, hidden
from tests.dns.http2.client import Client
from tests.dns.http2.test_outflow import frames_of

MEDIA = ("content-type", "application/dns-message")
SITE = Site("/dns-query", frozenset({"kids"}))
HEADS = Heads(SITE.understand)


def seeds() -> list[bytes]:
    """Return what a library's client says, and each kind of frame."""
    asked = bytes(query(f"{MARK}.example", ident=0).pack())
    text = base64.urlsafe_b64encode(asked).decode().rstrip("=")
    found = [frame(kind, 0, stream, bytes(8)) for kind in range(10) for stream in (0, 1)]
    for number in range(6):
        client = Client()
        client.h2.initiate_connection()
        client.ask(f"/dns-query?dns={text}")
        client.ask("/dns-query/kids", asked, MEDIA, ends=number % 2 == 0)
        client.ask("/elsewhere", b"x" * 100 * number, ("x-some", "y" * number))
        if number > 3:
            client.h2.reset_stream(1)
            client.h2.ping(bytes(8))
            client.h2.increment_flow_control_window(100)
        found.append(client.h2.data_to_send().removeprefix(PREFACE))
    return found


def run(data: bytes) -> None:
    """Let a client say `data`, in two pieces."""
    server = Http2(HEADS)
    server.receive(PREFACE + (frame(frames.SETTINGS, 0, 0) if data[:1] == b"\1" else b""))
    cut = data[0] % len(data) if data else 0
    for part in (data[:cut], data[cut:]):
        for stream, request, body in server.receive(part):
            hidden(request)
            status = request.status if body is not None else 413
            if status == OK:
                assert len(body or b"") <= inflow.LONGEST_BODY
                reply = (request.packet or body or b"")[2:]
                server.answer(stream, opening_of(reply), b"\0\0" + reply)
            elif stream % 4 == 1:
                server.answer(stream, refusals()[status], b"")
            else:
                server.ignore(stream)
        frames_of(server.take())
        assert server.due == 0
        assert server.unread <= inflow.STREAMS * inflow.LONGEST_BODY
    if server.over is None:
        server.part()
        assert frames_of(server.take())
