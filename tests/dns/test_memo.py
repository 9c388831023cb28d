"""Replies are remembered by packet and by question, sink with time, and fill no more memory than they may."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.bundle import Findings
from filterproxy.dns.memo import LONGEST_PACKET, Kin, Memo, Memos, Template
from tests.dns.fakes import query

HEAD = bytes(range(10))


def packet(name: str = "a.example", *, edns: int | None = None) -> bytes:
    """Return a question less its id."""
    return bytes(query(name, edns=edns).pack())[2:]


def question(asked: bytes) -> bytes:
    return asked[10 : asked.index(0, 10) + 5]


def template(rest: bytes = b"", *, cell: int = 3, until: float = 100.0, **facts) -> Template:
    return Template(HEAD, rest, cell=cell, until=until, **facts)


def told(memo: Memo, asked: bytes, now: float) -> bytes | None:
    """Return the reply to `asked`, as a socket's reader looks it up."""
    given = memo.young.get(asked)
    if given is None or given[0] <= now:
        given = memo.again(asked, now)
    return None if given is None else given[1]


def known(memos: Memos) -> list[Memo]:
    return list(memos._of.values())


def held(memos: Memos) -> tuple[int, int]:
    """Return how many things are remembered, and of how many bytes."""
    count = size = 0
    for memo in known(memos):
        for table in (memo.young, memo._old):
            count += len(table)
            size += sum(len(asked) + len(given[1]) for asked, given in table.items())
        for templates in (memo._templates, memo._old_templates):
            count += len(templates)
            size += sum(len(key) + item.size for key, item in templates.items())
    return count, size


def test_a_reply_is_given_again_with_the_spelling_of_who_asks():
    """By the whole packet, and to another spelling of the same question from what was learned."""
    memo = Memos().of("default")
    memo.learn(packet("a.example"), template(b"rest"), 0.0)
    for name in ("a.example", "A.eXample", "A.eXample"):
        assert told(memo, packet(name), 1.0) == HEAD + question(packet(name)) + b"rest"
    assert set(memo.young) == {packet("a.example"), packet("A.eXample")}
    assert told(memo, packet("b.example"), 1.0) is None
    assert told(memo, packet("a.example", edns=1232), 1.0) is None


def test_a_reply_carries_what_it_counts():
    """Also the one that is made for another spelling."""
    memo = Memos().of("default")
    memo.learn(packet(), template(cell=~7), 0.0)
    assert memo.young[packet()][2] == ~7
    again = memo.again(packet("A.EXAMPLE"), 0.0)
    assert again is not None
    assert again[2] == ~7


def test_profiles_have_memos_of_their_own():
    """What one was told says nothing to another."""
    memos = Memos()
    memos.of("kids").learn(packet(), template(), 0.0)
    assert told(memos.of("adults"), packet(), 0.0) is None
    assert memos.of("kids") is memos.of("kids")


def test_a_reply_ends_with_its_time():
    """It is given until then, and by no way after; nothing whose time is over is learned."""
    memo = Memos().of("default")
    memo.learn(packet(), template(until=10.0), 0.0)
    for asked in (packet(), packet("A.example")):
        assert told(memo, asked, 9.999) is not None
        assert told(memo, asked, 10.0) is None
        assert told(memo, asked, 11.0) is None
    memo.learn(packet("b.example"), template(until=10.0), 10.0)
    assert packet("b.example") not in memo.young


def test_what_is_learned_anew_takes_the_place_of_the_old():
    """For every spelling, once the time of the old one is over."""
    memo = Memos().of("default")
    for asked in (packet(), packet("A.example")):
        memo.learn(asked, template(b"old", until=10.0), 0.0)
    memo.learn(packet(), template(b"new", until=20.0), 10.0)
    for asked in (packet(), packet("A.example")):
        assert told(memo, asked, 10.0) == HEAD + question(asked) + b"new"


def test_ttls_sink_with_every_second():
    """Those at the places named, from the age they had, and none below nothing; by packet and by question alike."""
    rest = b"ab" + (7).to_bytes(4) + b"cd" + (2).to_bytes(4)
    memo = Memos().of("default")
    memo.learn(packet(), template(rest, ttl_at=(2, 8), born=5.0, age=3), 8.4)
    for now, first, second in ((8.4, 7, 2), (8.999, 7, 2), (9.0, 6, 1), (9.5, 6, 1), (10.0, 5, 0), (14.0, 1, 0)):
        for asked in (packet(), packet("A.example")):
            reply = told(memo, asked, now)
            assert reply == HEAD + question(asked) + b"ab" + first.to_bytes(4) + b"cd" + second.to_bytes(4)


@given(st.integers(0, 5), st.lists(st.integers(0, 24).map(lambda eighths: eighths / 8), max_size=12))
def test_however_time_passes_a_ttl_is_what_is_left(age, steps):
    """It is that of the beginning less whole seconds since the answer was born, for whoever asks in between."""
    born, now = 1000.25, 1000.25 + age
    memo = Memos().of("default")
    memo.learn(packet(), template((20 - age).to_bytes(4), ttl_at=(0,), born=born, age=age, until=inf), now)
    for number, step in enumerate(steps):
        now += step
        asked = packet() if number % 3 else packet("A.example")
        reply = told(memo, asked, now)
        assert reply is not None
        assert int.from_bytes(reply[-4:]) == max(0, 20 - int(now - born))


def flood(memo: Memo, count: int, size: int = 0) -> None:
    for number in range(count):
        memo.learn(packet(f"n{number}.example"), template(bytes(size)), 0.0)


@pytest.mark.parametrize("size", [0, 1000])
def test_a_flood_fills_no_more_than_it_may(size):
    """All profiles together hold so many things at most, of so many bytes."""
    memos = Memos(entries=200, size=20_000)
    for profile in ("kids", "adults", "guests"):
        flood(memos.of(profile), 500, size)
        count, held_bytes = held(memos)
        assert 0 < count <= 200
        assert held_bytes <= 20_000


def test_a_flood_of_spellings_fills_no_more_than_it_may():
    """Each is remembered as a packet; what they are made of is one."""
    memos = Memos(entries=100, size=1_000_000)
    memo = memos.of("default")
    memo.learn(packet("a" * 12), template(), 0.0)
    for number in range(1 << 10):
        name = "".join("aA"[number >> bit & 1] for bit in range(12))
        assert told(memo, packet(name), 1.0) is not None
    assert held(memos)[0] <= 100


def test_what_is_asked_for_survives_a_flood():
    """And what was not asked for while everything else came twice is forgotten."""
    memos = Memos(entries=200, size=1_000_000)
    memo = memos.of("default")
    memo.learn(packet("hot.example"), template(b"hot"), 0.0)
    memo.learn(packet("cold.example"), template(), 0.0)
    for number in range(1000):
        memo.learn(packet(f"n{number}.example"), template(), 0.0)
        if not number % 10:
            assert told(memo, packet("hot.example"), 0.0) is not None
    assert told(memo, packet("hot.example"), 0.0) == HEAD + question(packet("hot.example")) + b"hot"
    assert told(memo, packet("cold.example"), 0.0) is None


def test_one_reply_longer_than_all_room_is_forgotten_with_the_next():
    """It takes no more than its turn."""
    memos = Memos(entries=200, size=1000)
    memo = memos.of("default")
    memo.learn(packet(), template(bytes(5000)), 0.0)
    flood(memo, 50)
    assert held(memos)[1] <= 1000


def test_a_long_packet_is_not_kept_as_a_whole():
    """A client pads as it likes; the question behind it is remembered all the same."""
    plain = packet(edns=1232)
    asked, padding = plain[:-2] + b"\0\4\0\x0c\0\0", LONGEST_PACKET - 20
    padded = plain[:-2] + (padding + 4).to_bytes(2) + b"\0\x0c" + padding.to_bytes(2) + bytes(padding)
    memo = Memos().of("default")
    memo.learn(padded, template(b"rest"), 0.0)
    assert not memo.young
    for item in (padded, asked):
        assert told(memo, item, 1.0) == HEAD + question(asked) + b"rest"
    assert set(memo.young) == {asked}


def test_what_nobody_asked_for_is_told_to_names_that_share_it_and_kept_when_asked_again():
    """A flood of invented names below a listed one leaves nothing; one that a list says more of is not answered."""
    shared, own = Findings.of({}, inherited=True), Findings.of({}, inherited=False)
    memos = Memos(host=lambda host: own if host.startswith("own.") else shared)
    memo = memos.of("default")
    kept = template(b"rest", until=inf, kin=Kin("listed.example", shared))
    memo.learn(packet("one.listed.example"), kept, 0.0)
    before = held(memos)
    for name in ("two.listed.example", "TWO.Listed.example", "three.listed.example"):
        assert told(memo, packet(name), 1.0) == HEAD + question(packet(name)) + b"rest"
        if name == "two.listed.example":
            assert held(memos) == before
    assert packet("two.listed.example") not in memo.young
    assert packet("TWO.Listed.example") in memo.young
    for name in ("own.listed.example", "a.two.listed.example", "xn--0.listed.example", "a b.listed.example", "example"):
        assert told(memo, packet(name), 1.0) is None
    assert told(memo, packet("four.listed.example", edns=4096), 1.0) is None  # that may be answered otherwise


@given(st.binary(max_size=80))
def test_any_bytes_may_be_asked_for(asked):
    """Nothing is raised, and what is not usual is neither known nor learned."""
    memo = Memos().of("default")
    assert memo.again(asked, 0.0) is None
    memo.learn(asked, template(), 0.0)


def test_what_is_remembered_shows_nothing_of_it():
    """No name is in what a log could hold."""
    assert "rest" not in repr((template(b"rest"), Memos().of("default")))
