"""What a receiver asks, and what it is told where it asks what it may not."""

from __future__ import annotations

import time

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.tsig
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns.transfer.requests import Refusal, Request, read
from tests.dns.transfer.house import KEYS, SECRETS, query, receivers, tsig

KNOWN = receivers()
NOW = int(time.time())
HERE = "127.0.0.1"


def asked(found, address: str = HERE):
    return read(found.to_wire(), KNOWN, address, int(time.time()))


def told(refusal: Refusal, found, key=None) -> tuple[int, int | None]:
    """Return the response code and the TSIG error of what is said, verified where `key` is given."""
    assert refusal.reply is not None
    reply = dns.message.from_wire(refusal.reply, keyring=key or False, request_mac=found.mac if key else b"")
    assert reply.id == found.id
    assert reply.flags & dns.flags.QR
    assert reply.question == found.question
    return int(reply.rcode()), int(reply.tsig[0].error) if reply.tsig else None


@pytest.mark.parametrize(("qtype", "number", "serial"), [("AXFR", 252, None), ("IXFR", 251, 7), ("SOA", 6, None)])
def test_a_receiver_is_understood(qtype, number, serial):
    """What it wants, of which zone, and what it has."""
    found = asked(query("OPEN.rpz.Example", qtype))
    assert isinstance(found, Request)
    assert (found.zone, found.qtype, found.serial) == ("open.rpz.example", number, serial)
    assert found.receiver.id == "one"
    assert found.question.startswith(b"\x04OPEN\x03rpz\x07Example\x00")
    assert not found.edns


def test_an_unsigned_question_is_refused():
    """Whoever asks, and from wherever."""
    found = query(key=None)
    refusal = asked(found)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, told(refusal, found)) == ("unsigned", (5, None))


@pytest.mark.parametrize(("key", "reason", "error"), [
    (dns.tsig.Key("one.example", b"x" * 32, "hmac-sha256"), "signature", 16),
    (dns.tsig.Key("three.example", SECRETS["one"], "hmac-sha256"), "key", 17),
    (dns.tsig.Key("one.example", SECRETS["one"], "hmac-sha512"), "key", 17),
    (dns.tsig.Key("one.example", SECRETS["one"], "hmac-md5.sig-alg.reg.int"), "key", 17),
])  # fmt: skip
def test_a_wrongly_signed_question_is_told_why(key, reason, error):
    """NOTAUTH with BADSIG or BADKEY, which nobody signs (RFC 8945, section 5.2)."""
    found = query(key=key)
    refusal = asked(found)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, told(refusal, found)) == (reason, (9, error))


def test_a_question_that_was_kept_for_later_is_worth_nothing(monkeypatch):
    """NOTAUTH with BADTIME and our time, signed (section 5.2.3)."""
    found = query()
    now = time.time
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now() - 3600)
        packet = found.to_wire()
    refusal = read(packet, KNOWN, HERE, NOW)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "time"
    assert refusal.reply is not None
    reply = dns.message.from_wire(refusal.reply, keyring=False)
    _, signed = tsig(reply)
    assert (int(reply.rcode()), int(signed.error)) == (9, 18)
    assert int.from_bytes(signed.other) == NOW
    assert signed.mac


def test_a_key_from_elsewhere_is_refused():
    """Signed, for it is the right key."""
    found = query()
    refusal = asked(found, "127.0.2.1")
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, told(refusal, found, KEYS["one"])) == ("address", (5, 0))


def test_what_is_no_transfer_is_refused():
    """Another type, class or opcode; and what changed since nobody says when."""
    types = query(qtype="A"), query(qtype="ANY"), query(qtype="IXFR"), query()
    types[2].authority.clear()
    types[3].set_opcode(dns.opcode.NOTIFY)
    other = dns.message.make_query("open.rpz.example", "AXFR", rdclass="CH")
    other.use_tsig(KEYS["one"])
    found = [(item, asked(item)) for item in (*types, other)]
    assert [(said.reason, told(said, item, KEYS["one"])[0]) for item, said in found] == [
        ("type", 5), ("type", 5), ("malformed", 1), ("opcode", 4), ("type", 5),
    ]  # fmt: skip


def test_who_speaks_edns_is_answered_so():
    """RFC 6891, section 6.1.1: OPT where the question had one, and a whole answer is signed with it."""
    found = query()
    found.use_edns(0)
    request = asked(found)
    assert isinstance(request, Request)
    assert request.edns
    reply = dns.message.from_wire(request.refusal(5, NOW), keyring=KEYS["one"], request_mac=found.mac)
    assert (reply.edns, reply.rcode()) == (0, dns.rcode.REFUSED)
    plain = len(request.question) + 12
    assert len(asked(found).refusal(5, NOW)) - plain <= request.room


def test_what_is_no_question_ends_the_connection():
    """A stray answer is given none."""
    response = dns.message.make_response(query(key=None)).to_wire()
    for packet in (b"", query().to_wire()[:11], response):
        assert read(packet, KNOWN, HERE, NOW) == Refusal("malformed")


@given(st.data())
def test_whatever_comes_is_answered_or_not_and_never_raises(data):
    """A question changed anywhere is no receiver's any more, but for its id and the case of its letters."""
    packet = bytearray(query().to_wire())
    for _ in range(data.draw(st.integers(1, 6))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(packet[: data.draw(st.integers(0, len(packet)))])
    for found in (bytes(packet), cut, data.draw(st.binary(max_size=300))):
        said = read(found, KNOWN, HERE, NOW)
        if isinstance(said, Refusal) and said.reply is not None:
            assert said.reply[:2] == found[:2]
            assert said.reply[2] & 0x80
