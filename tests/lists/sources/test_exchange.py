from __future__ import annotations

import socket
import time

import pytest

from filterproxy.errors import SourceError
from filterproxy.lists.sources import credentials
from filterproxy.lists.sources.exchange import Deadline, exchange
from filterproxy.lists.sources.places import Place
from filterproxy.settings.lists import Fetch
from tests.lists.sources.web import Said, plain

BODY = b"a.example\n" * 10
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def _asked(web, path="/list", *, seconds=20.0, url=None, addresses=("127.0.0.1",), headers=()):
    place = Place.of(url or web.url(path))
    context = credentials.context(Fetch(ca=web.ca.pem), known=True)
    with exchange(place, list(addresses), list(headers), context, Deadline(seconds)) as answer:
        return answer.status, answer.header(b"etag"), b"".join(answer.body)


@pytest.mark.parametrize("said", [
    plain(BODY, 'ETag: "1"'),
    CHUNKED[:-2] + b'ETag: "1"\r\n\r\n32\r\n' + BODY[:50] + b"\r\n32\r\n" + BODY[50:] + b"\r\n0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + plain(BODY, 'etag: "1"'),
])  # fmt: skip
def test_a_whole_answer_is_taken(web, said):
    """By its length, in chunks, and after answers that are none yet."""
    web.says["/list"] = said
    assert _asked(web, headers=[(b"X-Key", b"k")]) == (200, '"1"', BODY)
    assert web.heads[0].splitlines()[:4] == [
        "GET /list HTTP/1.1", f"Host: lists.example:{web.port}", "Connection: close", "X-Key: k",
    ]  # fmt: skip


@pytest.mark.parametrize(("said", "reason"), [
    (plain(BODY, length=101), "ended too early"),
    (Said(plain(BODY, length=101), "reset"), "failed|too early"),
    (plain(BODY, length=99), "more came"),
    (plain(BODY) + plain(BODY), "more came"),
    (CHUNKED + b"32\r\n" + BODY[:50] + b"\r\n", "ended too early"),
    (CHUNKED + b"32\r\n" + BODY[:20], "ended too early"),
    (CHUNKED + b"-1\r\n", "not HTTP"),
    (CHUNKED + b"5\r\nabcde\r\n0\r\n\r\nmore", "more came"),
    (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, "how long"),
    (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, "how long"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "says twice"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 100\r\n\r\n" + BODY, "not HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not HTTP"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "not HTTP"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000 + plain(BODY), "no answer of HTTP"),
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "HTTP"),
    (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
    (b"", "HTTP"),
    (b"\0" * 999, "not HTTP"),
])  # fmt: skip
def test_an_answer_that_is_not_whole_is_never_taken(web, said, reason):
    """Short, long, reset, cut between chunks or without a length: a SourceError, never a shorter list."""
    web.says["/list"] = said
    with pytest.raises(SourceError, match=reason):
        _asked(web)


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200", plain(BODY, length=999), CHUNKED + b"32\r\n" + BODY[:9]])
def test_a_source_that_stalls_is_left(web, raw):
    """Before its answer, in its head or in its body: after a tenth of the time."""
    web.says["/list"] = Said(raw, "hang")
    start = time.monotonic()
    with pytest.raises(SourceError, match=r"^stalled: nothing came for 0\.4 s"):
        _asked(web, seconds=4)
    assert time.monotonic() - start < 3


def test_a_source_that_drips_is_left_when_the_time_is_over(web):
    """A byte now and then is no stall, and does not hold us for ever."""
    web.says["/list"] = Said(plain(BODY, length=10**6), "drip")
    with pytest.raises(SourceError, match=r"^took longer than 1\.5 s"):
        _asked(web, seconds=1.5)


def test_a_server_that_never_says_hello_is_left():
    """A port that takes connections and speaks no TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = Place.of(f"https://lists.example:{listener.getsockname()[1]}/")
        context = credentials.context(Fetch(), known=True)
        with pytest.raises(SourceError, match="stalled"):  # noqa: SIM117
            with exchange(place, ["127.0.0.1"], [], context, Deadline(2)):
                pass


def test_the_certificate_must_be_for_the_name_that_was_asked_for(web):
    """Whatever address the connection goes to; the message names neither."""
    with pytest.raises(SourceError, match="certificate is refused: it is for another name$"):
        _asked(web, url=f"https://other.example:{web.port}/list")


def test_the_next_address_is_tried_where_one_takes_no_connection(web):
    """And where none does, one line says why."""
    web.says["/list"] = plain(BODY)
    assert _asked(web, addresses=["127.0.0.2", "127.0.0.1"]) == (200, "", BODY)
    with pytest.raises(SourceError, match="the connection failed: Connection refused"):
        _asked(web, addresses=["127.0.0.2"])
