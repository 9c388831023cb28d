"""Answers of upstreams: how long they may be kept, how they age, and that memory has an end."""

from __future__ import annotations

import struct

import pytest
from dnslib import RR, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import wire
from filterproxy.dns.cache import (
    BYTES_PER_ENTRY,
    FAILURE_TTL,
    STALE_TTL,
    Answer,
    AnswerCache,
    Known,
    failure,
    read_answer,
)
from tests.dns.fakes import query

SOA = "example 3600 IN SOA ns.example. admin.example. 1 2 3 4 {}"


def said(answers: str = "", authority: str = "", rcode: int = 0, rtype: str = "A", extra: str = "") -> bytes:
    """Return an upstream's reply to `a.example`."""
    reply = query("a.example", rtype).reply(aa=0)
    reply.header.rcode = rcode
    reply.add_answer(*RR.fromZone(answers))
    reply.add_auth(*RR.fromZone(authority))
    reply.add_ar(*RR.fromZone(extra))
    return bytes(reply.pack())


@pytest.mark.parametrize(("packet", "lifetime"), [
    (said("a.example 300 IN A 192.0.2.1"), 300),
    (said("a.example 300 IN A 192.0.2.1\na.example 200 IN A 192.0.2.2"), 200),
    (said("a.example 604800 IN A 192.0.2.1"), 86_400),
    (said("a.example 0 IN A 192.0.2.1"), 0),
    (said("a.example 3000000000 IN A 192.0.2.1"), 0),  # the top bit is set: RFC 2181, section 8
    (said("a.example 300 IN CNAME b.example\nb.example 60 IN A 192.0.2.1"), 60),
    (said(authority=SOA.format(120)), 120),
    (said(authority=SOA.format(7200)), 900),
    (said(authority=SOA.format(300), rcode=3), 300),
    (said("a.example 30 IN CNAME b.example", SOA.format(300), rcode=3), 30),
    (said("a.example 300 IN CNAME b.example", SOA.format(100)), 100),
    (said(), 0),  # a denial without a SOA may not be kept
    (said(rcode=3), 0),
    (said(authority=SOA.format(300), rcode=2), 0),
    (said(authority="example 300 IN NS ns.example."), 0),
    (said('a.example 300 IN TXT "x"', rtype="ANY"), 300),
])  # fmt: skip
def test_an_answer_is_kept_as_long_as_it_says(packet, lifetime):
    """The lowest TTL, a day at most; for denials what RFC 2308 says, fifteen minutes at most."""
    assert read_answer(packet).lifetime == lifetime


def test_the_additional_section_is_dropped():
    """Addresses of names that nobody judged are not handed on."""
    answer = read_answer(
        said("a.example 300 IN MX 5 mail.example.", rtype="MX", extra="mail.example 60 IN A 192.0.2.9")
    )
    assert bytes([192, 0, 2, 9]) not in answer.body
    assert (answer.answers, answer.authorities) == (1, 0)


def test_no_name_reaches_into_what_is_dropped():
    """A client would read it on in our own OPT record, as another name than the one that was judged."""
    asked = bytes(query("fine.example").pack())[12:-11]
    head = wire.HEADER.pack(1, wire.QR, 1, 2, 0, 0) + asked
    text = b"\xc0\x0c\0\x10\0\1\0\0\0\x3c"
    alias = b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2" + (0xC000 + len(head) + 12).to_bytes(2)
    assert read_answer(head + text + b"\0\5\3net\0" + alias).chain == ("net",)
    for rest in (b"", b"\0", b"\7blocked\7example\0"):
        with pytest.raises(wire.Malformed):  # a label as long as the record behind it, and then the end
            read_answer(head + text + b"\0\1" + bytes([len(alias)]) + alias + rest)


def test_ttls_sink_with_age_and_nothing_else_changes():
    """Every record grows old alike, and none below nothing."""
    packet = said("a.example 300 IN CNAME b.example\nb.example 60 IN A 192.0.2.1", "example 900 IN NS ns.example.")
    answer = read_answer(packet)
    start = len(packet) - len(answer.body)
    aged = DNSRecord.parse(packet[:start] + answer.aged(100))
    fresh = DNSRecord.parse(packet[:start] + answer.aged(0))
    assert [record.ttl for record in (*aged.rr, *aged.auth)] == [200, 0, 800]
    assert [record.ttl for record in (*fresh.rr, *fresh.auth)] == [300, 60, 900]
    assert [str(record.rdata) for record in aged.rr] == [str(record.rdata) for record in fresh.rr]


def test_a_ladder_of_pointers_costs_next_to_nothing():
    """An answer of 64 KB made of little else is refused at the first name that climbs it."""
    question = b"\1x\0\0\1\0\1"
    first = 12 + len(question) + 11
    rungs = b"\0\0" + b"".join(struct.pack("!H", 0xC000 | first + 2 * rung) for rung in range(8000))
    names = struct.pack("!HHHIH", 0xC000 | first + len(rungs) - 2, 5, 1, 60, 2) + struct.pack("!H", 0xC000 | first)
    packet = wire.HEADER.pack(1, 0x8180, 1, 499, 0, 0) + question
    packet += b"\0" + struct.pack("!HHIH", 16, 1, 60, len(rungs)) + rungs + names * 498
    with pytest.raises(wire.Malformed, match="pointer"):
        read_answer(packet)


def test_ttls_are_no_longer_than_may_be():
    """The most is said in seconds; what is shorter stays as it is."""
    packet = said("a.example 300 IN A 192.0.2.1\na.example 20 IN A 192.0.2.2")
    answer = read_answer(packet)
    capped = DNSRecord.parse(packet[: len(packet) - len(answer.body)] + answer.aged(0, most=30))
    assert [record.ttl for record in capped.rr] == [30, 20]


@pytest.mark.parametrize(("ttl", "told"), [(86_400, 86_400), (86_401, 86_400), (0x7FFFFFFF, 86_400), (0x80000000, 0)])
@pytest.mark.parametrize("shape", [
    "a.example {} IN A 192.0.2.1",
    "a.example {} IN CNAME b.example\nb.example {} IN A 192.0.2.1",
])  # fmt: skip
def test_no_owner_of_a_name_chooses_how_many_years_clients_keep_it(shape, ttl, told):
    """A fresh answer tells a day at most, so that what is listed tomorrow is asked for anew; a top bit means 0."""
    packet = said(shape.format(ttl, ttl), "example 900 IN NS ns.example.")
    answer = read_answer(packet)
    fresh = DNSRecord.parse(packet[: len(packet) - len(answer.body)] + answer.aged(0))
    assert {record.ttl for record in fresh.rr} == {told}
    assert [record.ttl for record in fresh.auth] == [900]
    plain = read_answer(said(shape.format(ttl, ttl)))
    assert plain.body == answer.body[: len(plain.body)]


def test_an_answer_of_many_small_records_counts_for_what_it_takes():
    """What is noted of each record is memory as well: the budget is not passed by answers made of little else."""
    cache = AnswerCache(100)
    many = read_answer(said("\n".join(f"a.example 300 IN A 192.0.2.{number}" for number in range(1, 251))))
    for number in range(100):
        cache.put(number.to_bytes(2), many, 0.0)
    assert len(cache) <= 100 * BYTES_PER_ENTRY // (250 * (16 + 8 + 28))  # a record, a place in a tuple, and a number


@given(st.data())
def test_reading_a_damaged_answer_gives_an_answer_or_malformed(data):
    """Whatever an upstream sends behind a sound header, nothing else is raised."""
    packet = bytearray(said("a.example 300 IN CNAME b.example\nb.example 60 IN A 192.0.2.1", SOA.format(300)))
    for _ in range(data.draw(st.integers(1, 5))):
        packet[data.draw(st.integers(6, len(packet) - 1))] = data.draw(st.integers(0, 255))
    try:
        answer = read_answer(bytes(packet[: data.draw(st.integers(12, len(packet)))]))
    except wire.Malformed:
        return
    assert len(answer.aged(7)) == len(answer.body)


def an_answer(size: int = 10, lifetime: int = 60) -> Answer:
    return Answer(0, bytes(size), 1, 0, (), (), lifetime)


def test_an_answer_is_forgotten_when_its_time_is_over():
    """Its age is told in whole seconds until then."""
    cache, answer = AnswerCache(5), an_answer()
    cache.put(b"a", answer, 100.0)
    assert cache.get(b"a", 159.5) == Known(answer, 59, 100.0, due=False)
    assert cache.get(b"a", 160.0) is None
    assert len(cache) == 0
    cache.put(b"a", an_answer(lifetime=0), 100.0)
    assert len(cache) == 0


def test_the_one_used_longest_ago_leaves_first():
    """The number of entries has an end."""
    cache = AnswerCache(2)
    for key in (b"a", b"b"):
        cache.put(key, an_answer(), 0.0)
    cache.get(b"a", 1.0)
    cache.put(b"c", an_answer(), 1.0)
    assert [cache.get(key, 1.0) is not None for key in (b"a", b"b", b"c")] == [True, False, True]


def test_long_answers_do_not_fill_the_memory():
    """So has the number of bytes; one answer too long for all of it is not kept, and no cache is a cache of nothing."""
    cache = AnswerCache(4)
    for key in (b"a", b"b", b"c"):
        cache.put(key, an_answer(BYTES_PER_ENTRY * 2), 0.0)
    assert [cache.get(key, 1.0) is not None for key in (b"a", b"b", b"c")] == [False, True, True]
    cache.put(b"d", an_answer(BYTES_PER_ENTRY * 4 + 1), 0.0)
    assert cache.get(b"d", 1.0) is None
    nothing = AnswerCache(0)
    nothing.put(b"a", an_answer(), 0.0)
    assert len(nothing) == 0


def test_names_of_long_chains_count_as_bytes_too():
    """A short body may lead to many long names by pointers; what is kept of it is what is bounded."""
    cache = AnswerCache(4)
    for key in (b"a", b"b", b"c"):
        cache.put(key, Answer(0, b"", 1, 0, (), ("x" * BYTES_PER_ENTRY,) * 2, 60), 0.0)
    assert [cache.get(key, 1.0) is not None for key in (b"a", b"b", b"c")] == [False, True, True]


@pytest.mark.parametrize(("rcode", "code"), [(0, 3), (3, 19)])
def test_an_answer_whose_time_is_over_is_kept_for_when_nobody_can_be_asked(rcode, code):
    """It says that it is stale (RFC 8914), may be kept for 30 seconds, and is never called authenticated."""
    packet = said("a.example 60 IN A 192.0.2.1", SOA.format(60), rcode=rcode)
    cache, answer = AnswerCache(5, stale=100), read_answer(packet, ad=True)
    cache.put(b"a", answer, 0.0)
    assert cache.get(b"a", 60.0) is None
    for now in (60.0, 159.9):
        found = cache.stale(b"a", now)
        assert found is not None
        stale, rests = found
        reply = DNSRecord.parse(packet[: len(packet) - len(answer.body)] + stale.body)
        assert [record.ttl for record in (*reply.rr, *reply.auth)] == [STALE_TTL] * 2
        assert (stale.ede, stale.ad, stale.lifetime, stale.rcode, rests) == (code, False, 0, rcode, False)
    assert cache.stale(b"a", 160.0) is None
    assert cache.get(b"a", 160.0) is None
    assert len(cache) == 0


def test_a_failure_takes_the_place_of_no_answer():
    """Not of a stale one, and not of one that still holds; whoever asks next finds that asking rests for 30 seconds."""
    cache, answer = AnswerCache(5, stale=100), an_answer()
    cache.put(b"a", answer, 0.0)
    cache.put(b"a", failure(wire.SERVFAIL), 55.0)
    assert cache.get(b"a", 55.0) == Known(answer, 55, 0.0, due=False)
    cache.put(b"a", failure(wire.SERVFAIL), 70.0)
    for now, rests in ((70.0, True), (99.9, True), (100.0, False)):
        found = cache.stale(b"a", now)
        assert found is not None
        assert found[1] is rests
    cache.put(b"a", failure(wire.SERVFAIL), 160.0)
    assert cache.stale(b"a", 160.0) is None
    assert cache.get(b"a", 160.0 + FAILURE_TTL - 1) is not None
    assert cache.get(b"a", 160.0 + FAILURE_TTL) is None
    assert len(cache) == 0


def test_only_what_is_asked_for_often_is_due():
    """From the last tenth of its time on, and not again right after asking for it failed."""
    cache = AnswerCache(5)
    cache.put(b"a", an_answer(lifetime=100), 0.0)

    def due(now: float) -> bool:
        found = cache.get(b"a", now)
        assert found is not None
        return found.due

    assert [due(now) for now in (89.0, 89.9, 90.0)] == [False, False, True]
    cache.put(b"a", failure(wire.SERVFAIL), 90.0)
    assert not due(91.0)
    cache.put(b"b", an_answer(lifetime=100), 0.0)
    found = cache.get(b"b", 95.0)
    assert found is not None
    assert not found.due


def test_what_is_known_shows_nothing_of_the_answer():
    """Neither names nor addresses are in what a log could hold."""
    answer = read_answer(said("a.example 300 IN CNAME secret.example\nsecret.example 60 IN A 192.0.2.1"))
    text = repr((answer, Known(answer, 1, 2.0, due=False)))
    assert "secret" not in text


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3 * BYTES_PER_ENTRY), st.integers(0, 5)), max_size=60))
def test_the_memory_is_counted_right(puts):
    """However answers come, go and take each other's place, neither bound is passed and the count stays exact."""
    cache = AnswerCache(4, stale=2)
    for now, (key, size, lifetime) in enumerate(puts):
        name = bytes([key])
        cache.get(name, float(now))
        cache.put(name, an_answer(size, lifetime) if key else failure(wire.SERVFAIL), float(now))
        kept = [entry.answer for entry in cache._kept.values()]
        assert len(kept) <= 4
        assert cache._bytes == sum(len(answer.body) for answer in kept) <= 4 * BYTES_PER_ENTRY
