"""Heads of requests: read as HPACK has it, looked up where they were read before, and bounded."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns.http2 import heads
from filterproxy.dns.http2.heads import KEPT, MOST, Fields, Heads, Reader, Unreadable, fields_of

START = [(":method", "GET"), (":scheme", "https"), (":authority", "dns.example"), (":path", "/dns-query")]


class Understood:
    """Counts what had to be understood."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, fields: Fields) -> Fields:
        self.times += 1
        return fields


def fields(*rows: tuple[str, str]) -> Fields | None:
    return fields_of([(name.encode(), value.encode()) for name, value in rows])


def test_the_same_bytes_are_understood_once():
    """Also on other connections, as long as their tables are alike."""
    understood = Understood()
    every, blocks = Heads(understood), []
    for _ in range(3):
        encoder, reader = Encoder(), Reader(every)
        blocks = [encoder.encode(START) for _ in range(4)]
        assert [reader.read(block) for block in blocks] == [Fields(b"GET", b"/dns-query")] * 4
    assert blocks[1] == blocks[3]
    # The first puts fields into the table, so it is read each time; the others are one.
    assert understood.times == 3 + 1


def test_the_same_bytes_mean_something_else_with_another_table():
    """What is remembered is remembered by the table too."""
    every: Heads[Fields] = Heads(lambda fields: fields)
    for path in ("/one", "/two", "/one", "/two"):
        encoder, reader = Encoder(), Reader(every)
        start = [*START[:3], (":path", path)]
        for _ in range(3):
            assert reader.read(encoder.encode(start)) == Fields(b"GET", path.encode())


FIELD = st.tuples(
    st.sampled_from([b"accept", b"x-one", b"x-two", b"user-agent"]), st.sampled_from([b"", b"a", b"b" * 60])
)
BLOCK = st.tuples(st.lists(FIELD, max_size=6), st.sampled_from([None, 0, 64, 200, 4096]), st.booleans())


@given(st.lists(st.lists(BLOCK, max_size=8), min_size=1, max_size=4))
def test_what_is_looked_up_is_what_would_be_read(connections):
    """Whatever clients do with their tables, all heads read as by a decoder that remembers nothing."""
    every: Heads[Fields] = Heads(lambda fields: fields)
    for blocks in connections:
        encoder, decoder, reader = Encoder(), Decoder(), Reader(every)
        for number, (extra, size, sensitive) in enumerate(blocks):
            if size is not None:
                encoder.header_table_size = size
            rows = [(*row, False) for row in START] + [(*row, sensitive) for row in extra]
            rows[3] = (":path", f"/{number % 2}", False)
            block = encoder.encode(rows)
            assert reader.read(block) == fields_of(decoder.decode(block, raw=True))


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_any_bytes_are_read_or_refused(blocks):
    """As the library alone would: nothing else is raised, and what it refuses is not remembered."""
    every: Heads[Fields] = Heads(lambda fields: fields)
    decoder, reader = Decoder(), Reader(every)
    for block in blocks:
        try:
            found = fields_of(decoder.decode(block, raw=True))
        except HPACKError:
            with pytest.raises(Unreadable):
                reader.read(block)
            return
        assert reader.read(block) == found


@pytest.mark.parametrize(("rows", "found"), [
    (START, Fields(b"GET", b"/dns-query")),
    ([*START, ("content-length", "9"), ("content-type", "a/b"), ("te", "trailers")],
     Fields(b"GET", b"/dns-query", b"a/b", 9)),
    ([*START, ("content-length", "12"), ("content-length", "12")], Fields(b"GET", b"/dns-query", b"", 12)),
    ([*START, ("content-type", "a/b"), ("content-type", "a/b")], Fields(b"GET", b"/dns-query")),
    ([*START, ("content-length", "12"), ("content-length", "13")], None),
    ([*START, ("content-length", "+12")], None),
    ([*START, ("content-length", "1" * 13)], None),
    ([*START, ("Accept", "x")], None),
    ([*START, ("a b", "x")], None),
    ([*START, ("", "x")], None),
    ([*START, ("a", " x")], None),
    ([*START, ("a", "x\r\ny: z")], None),
    ([*START, ("connection", "close")], None),
    ([*START, ("transfer-encoding", "chunked")], None),
    ([*START, ("te", "gzip")], None),
    ([*START, (":path", "/again")], None),
    ([*START, (":status", "200")], None),
    ([("accept", "x"), *START], None),
    (START[:3], None), (START[1:], None), ([START[0], *START[2:]], None),
    ([*START[:3], (":path", "")], None),
])  # fmt: skip
def test_malformed_heads_are_told(rows, found):
    """RFC 9113, sections 8.2 and 8.3: one of each pseudo-field, in front; no field of one connection; no odd bytes."""
    assert fields(*rows) == found


def test_a_head_that_is_too_long_is_told_apart():
    """It broke no rule of HPACK; it is only too much."""
    with pytest.raises(Unreadable) as found:
        Reader(Heads(lambda fields: fields)).read(Encoder().encode([*START, ("x", "y" * MOST)]))
    assert found.value.calm
    with pytest.raises(Unreadable) as found:
        Reader(Heads(lambda fields: fields)).read(b"\xff\xff\xff\xff\xff\xff")
    assert not found.value.calm


def test_what_is_remembered_is_bounded(monkeypatch):
    """By bytes, whatever clients send; and so is the number of tables."""
    monkeypatch.setattr(heads, "KEPT", 40_000)
    every: Heads[Fields] = Heads(lambda fields: fields)
    for number in range(2000):
        encoder, reader = Encoder(), Reader(every)
        reader.read(encoder.encode([*START, ("x", str(number))]))
        reader.read(encoder.encode([*START, ("x", str(number))]))
    assert 20 < len(every.young) + len(every._old) < 2 * 40_000 / 300
    assert len(every._tables) <= heads.TABLES
    assert KEPT > 1_000_000


def test_a_question_in_a_path_is_not_shown():
    """Not where a head is printed, as in a traceback."""
    assert "zqwanted" not in f"{Fields(b'GET', b'/?dns=zqwanted')!r}{Unreadable()!r}"


@pytest.mark.parametrize(
    ("updates", "read"), [(b"\x20\x3f\xe1\x1f", True), (b"\x20" * 3, False), (b"\x3f\x00" * 3, False)]
)
def test_the_size_of_the_table_is_set_twice_at_most(updates, read):
    """RFC 7541, section 4.2: who sets it again and again only wastes our time."""
    reader = Reader(Heads(lambda fields: fields))
    block = Encoder().encode([(":method", "GET"), (":scheme", "https"), (":path", "/")])
    if read:
        assert reader.read(updates + block) is not None
        return
    with pytest.raises(Unreadable):
        reader.read(updates + block)
    assert reader._decoder is None
