"""What a self-test reads from the wire: any bytes become words, and the words tell answers apart."""

from __future__ import annotations

import socket
import threading

import pytest
from dnslib import EDNS0, QTYPE, RR, A, DNSRecord, EDNSOption
from hypothesis import given, settings
from hypothesis import strategies as st

from filterproxy.cli.selftest_wire import (
    DnsReply,
    ask_dns,
    blocked_dns,
    connect,
    exchange,
    get,
    http_words,
    read_dns,
    source_of,
)
from filterproxy.core.model import DnsAnswer, Listing
from tests.ports import free_ports

QUESTION = DNSRecord.question("a.example", "A")
PACKED = bytes(QUESTION.pack())


def answer(rcode: int = 0, ede: int | None = None, address: str = "") -> bytes:
    reply = QUESTION.reply()
    reply.header.rcode = rcode
    if address:
        reply.add_answer(RR("a.example", QTYPE.A, rdata=A(address)))
    options = [] if ede is None else [EDNSOption(15, ede.to_bytes(2))]
    reply.add_ar(EDNS0(opts=options))
    return bytes(reply.pack())


@pytest.mark.parametrize(("packet", "reply"), [
    (answer(3, 15), DnsReply("NXDOMAIN, EDE 15", judged=True)),
    (answer(0, 17), DnsReply("NODATA, EDE 17", judged=True)),
    (answer(0, 16, "0.0.0.0"), DnsReply("0.0.0.0, EDE 16", judged=True)),
    (answer(2, 14), DnsReply("SERVFAIL, EDE 14", judged=True)),
    (answer(2, 22), DnsReply("SERVFAIL, EDE 22")),
    (answer(3), DnsReply("NXDOMAIN")),
    (answer(0, None, "192.0.2.1"), DnsReply("192.0.2.1")),
    (b"\0\0" + answer()[2:] if answer()[:2] != b"\0\0" else b"\1\1" + answer()[2:],
     DnsReply("no answer to what was asked", came=False)),
    (PACKED, DnsReply("no answer to what was asked", came=False)),
    (b"", DnsReply("no DNS answer", came=False)),
])  # fmt: skip
def test_an_answer_says_whether_a_list_gave_it(packet, reply):
    """Of two NXDOMAIN, the extended error tells which a list said; an upstream that is away is none's doing."""
    assert read_dns(packet, PACKED, "A") == reply


@given(st.binary(max_size=300))
def test_any_packet_is_words(packet):
    """Whatever comes back, it is said in words."""
    read_dns(packet, PACKED, "A")
    read_dns(PACKED[:2] + b"\x80" + packet, PACKED, "AAAA")


@given(st.integers(min_value=0, max_value=400), st.integers(min_value=0, max_value=255))
def test_any_changed_answer_is_words(at, byte):
    """Also an answer in which a byte went wrong."""
    packet = bytearray(answer(0, 15, "192.0.2.1"))
    packet[at % len(packet)] = byte
    read_dns(bytes(packet), PACKED, "A")


@pytest.mark.parametrize(("how", "rtype", "below", "said"), [
    ("nxdomain", "A", True, "NXDOMAIN, EDE 15"),
    ("nxdomain", "A", False, "NODATA, EDE 15"),
    ("nodata", "A", True, "NODATA, EDE 15"),
    ("null", "A", True, "0.0.0.0, EDE 15"),
    ("null", "AAAA", True, "::, EDE 15"),
    ("notice", "A", True, "192.0.2.7, EDE 15"),
    ("notice", "AAAA", True, "NODATA, EDE 15"),
    ("refused", "A", True, "REFUSED, EDE 15"),
])  # fmt: skip
def test_what_a_list_answers_is_known_beforehand(how, rtype, below, said):
    """Every `dns` of the configuration has its words."""
    assert blocked_dns(Listing("a", dns=DnsAnswer(how)), rtype, ("192.0.2.7",), below=below) == said


def spoken(data: bytes, method: str = "GET"):
    """Return what is read of a server that says `data` and hangs up."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        return exchange(mine, "GET / HTTP/1.1\r\n\r\n", method)


@pytest.mark.parametrize(("head", "said", "judged"), [
    (b'451 X\r\nLink: <http://o.example>; rel="blocked-by"', "451, the notice", True),
    (b"403 X\r\nSet-Cookie: filterproxy_seen=1.a; Path=/", "403, a warning", True),
    (b"503 X\r\nRetry-After: 300", "503, a list could not judge", True),
    (b"503 X", "503", False),
    (b"403 X", "403", False),
    (b"502 X", "502", False),
])  # fmt: skip
def test_a_response_says_whether_a_list_gave_it(head, said, judged):
    """A notice, a warning and a failure to judge are told from what any proxy may answer."""
    reply = spoken(b"HTTP/1.1 " + head + b"\r\nContent-Length: 2\r\n\r\nok")
    assert (reply.said, reply.judged, reply.body) == (said, judged, "ok")


@settings(max_examples=50)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=100).map(lambda rest: b"HTTP/1.1 200 X\r\n" + rest)))
def test_any_response_is_words(data):
    """Whatever a server says, it is said in words."""
    for method in ("GET", "CONNECT"):
        reply = spoken(data, method)
        assert reply.said


def test_where_nothing_serves_that_is_said():
    """No answer is an answer too: it says why."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    assert not ask_dns(address, "a.example", "A").came
    assert not ask_dns(address, "a.example", "A", tcp=True).came
    assert "refused" in get(address, "http://a.example/").said
    assert connect(address, "a.example").status == 0


def test_a_question_goes_over_udp_and_tcp_as_it_is_spelled():
    """What is asked reaches the server with its capitals, and the answer is that server's."""
    port = free_ports(1)[0]
    with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.create_server(("127.0.0.1", port)) as tcp:
        udp.bind(("127.0.0.1", port))
        asked = []

        def serve() -> None:
            packet, client = udp.recvfrom(4096)
            asked.append(packet)
            udp.sendto(packet[:2] + answer(3, 15)[2:], client)
            stream, _ = tcp.accept()
            with stream:
                packet = stream.recv(4096)[2:]
                asked.append(packet)
                reply = packet[:2] + answer(3, 15)[2:]
                stream.sendall(len(reply).to_bytes(2) + reply)

        thread = threading.Thread(target=serve)
        thread.start()
        found = [ask_dns(f"127.0.0.1:{port}", "A.Example", "A", tcp=over_tcp).said for over_tcp in (False, True)]
        thread.join()
    assert found == ["NXDOMAIN, EDE 15"] * 2
    assert all(b"\1A\7Example" in packet for packet in asked)


def test_an_address_of_ours_is_where_a_listener_sees_us():
    """On loopback we are loopback, also where it listens on every address."""
    assert source_of("127.0.0.1:9") == source_of("0.0.0.0:9") == "127.0.0.1"
    assert http_words(502) == "502"
