"""HTTPS and SVCB records of hosts that the gateway is to see: ECH and HTTP/3 are gone, and all else stays."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import svcparams, wire
from filterproxy.dns.cache import Answer, failure, read_answer
from filterproxy.dns.records import read, wire_name
from filterproxy.dns.svcb import stripped, withheld
from filterproxy.dns.svcparams import ALPN, ECH, MANDATORY, NO_DEFAULT_ALPN, Params, pack
from filterproxy.dns.wire import Malformed, Query
from tests.dns.rooms import lines, message, question, said, unread

HINT, PORT = (4, b"\xc0\0\2\1"), (3, b"\x20\xfb")
QUERY = question("a.example", "HTTPS", do=True)


def names(*found: str) -> tuple[int, bytes]:
    return ALPN, b"".join(bytes((len(name),)) + name.encode() for name in found)


def mandatory(*keys: int) -> tuple[int, bytes]:
    return MANDATORY, b"".join(key.to_bytes(2) for key in keys)


def https(*params: tuple[int, bytes], target: bytes = b"\0", priority: int = 1, rtype: int = 65) -> str:
    """Return the line of a record of a.example."""
    return f"a.example 300 IN {rtype} # {(priority.to_bytes(2) + target + pack(params)).hex()}"


def signature(rtype: int, owner: str = "a.example") -> str:
    return f"{owner} 300 IN 46 # {rtype:04x} 08 02 0000012c 00000000 00000000 0001 00 abcd"


def params(query: Query, answer: Answer) -> list[Params]:
    """Return the parameters of every HTTPS and SVCB record in an answer."""
    found = read(query, answer)
    return [
        svcparams.read(found.packet, svcparams.begin(found.packet, record.data_at, record.end), record.end)
        for record in found.answers
        if record.rtype in (64, 65)
    ]


NDA = (NO_DEFAULT_ALPN, b"")
SECRET = (ECH, b"\0\4abcd")


@pytest.mark.parametrize(("before", "after"), [
    ((SECRET,), ()),
    ((names("h2", "h3"), HINT, SECRET), (names("h2"), HINT)),
    ((names("h3", "h2", "h3-29", "h3-Q050", "http/1.1"),), (names("h2", "http/1.1"),)),
    ((names("h3"), PORT), (PORT,)),
    ((names("h3"), NDA, PORT), None),
    ((names("h3", "h2"), NDA), (names("h2"), NDA)),
    ((mandatory(1, 5), names("h2", "h3"), SECRET), (mandatory(1), names("h2"))),
    ((mandatory(5), SECRET), ()),
    ((mandatory(1, 4), names("h3"), HINT), (mandatory(4), HINT)),
    ((mandatory(5, 7), SECRET, (7, b"/dns-query{?dns}")), (mandatory(7), (7, b"/dns-query{?dns}"))),
    ((SECRET, (667, b"hello")), ((667, b"hello"),)),
])  # fmt: skip
@pytest.mark.parametrize("rtype", ["SVCB", "HTTPS"])
def test_ech_and_http_3_are_taken_out(before, after, rtype):
    """A record that offers nothing else goes; one that is left is self-consistent, and nobody authenticated it."""
    query = question("a.example", rtype)
    answer = said(query, https(*before, rtype={"SVCB": 64, "HTTPS": 65}[rtype]))
    found = stripped(answer, query)
    assert params(query, found) == ([] if after is None else [after])
    assert (found.ad, found.lifetime, found.answers) == (False, 300, after is not None)
    assert params(query, answer) == [before]
    assert answer.ad


@pytest.mark.parametrize("text", [
    https(names("h2", "http/1.1"), HINT),
    https(names("h2"), NDA),
    https(target=b"\x01b\x04test\0", priority=0),
    https(),
    "a.example 60 IN CNAME b.example\nb.example 60 IN A 192.0.2.1",
    "a.example 60 IN TXT ech",
    "NXDOMAIN",
    "authority example 60 IN SOA a.example. b.example. 1 2 3 4 5",
])  # fmt: skip
def test_an_answer_with_nothing_to_strip_is_the_very_same(text):
    """Signatures and all."""
    answer = said(QUERY, f"{text}\n{signature(65)}")
    assert stripped(answer, QUERY) is answer
    assert stripped(failure(2, 23), QUERY) == withheld(failure(2, 23), QUERY) == failure(2, 23)


def test_an_alias_keeps_its_target():
    """Parameters of an alias say nothing (RFC 9460, section 2.4.2), so it never goes for their sake."""
    answer = said(QUERY, https(names("h3"), NDA, SECRET, priority=0, target=b"\x01b\x04test\0"))
    assert lines(QUERY, stripped(answer, QUERY)) == ["a.example. 300 HTTPS 0 b.test."]


def test_only_signatures_over_what_changed_go():
    """Those over the other records still hold."""
    text = f"""a.example 300 IN CNAME b.test
{signature(5)}
b.test 300 IN 65 # {(b"\0\1\0" + pack((names("h2", "h3"),))).hex()}
{signature(65, "B.test")}
{signature(65, "c.test")}
authority {signature(2, "test")}"""
    answer = said(QUERY, text)
    found = stripped(answer, QUERY)
    assert [line.split(" ")[0:3:2] for line in lines(QUERY, found)] == [
        ["a.example.", "CNAME"], ["a.example.", "RRSIG"], ["b.test.", "HTTPS"], ["c.test.", "RRSIG"],
    ]  # fmt: skip
    assert found.authorities == 1
    assert found.chain == answer.chain


@pytest.mark.parametrize(("text", "left", "owner"), [
    (https(names("h2")), [], "a.example."),
    (f"{https(names('h2'))}\n{https(HINT)}\n{signature(65)}", [], "a.example."),
    ("a.example 30 IN CNAME b.test\nb.test 300 IN HTTPS 1 . alpn=h2", ["a.example. 30 CNAME b.test."], "a.example."),
    (f"{https(HINT)}\nauthority example 300 IN SOA ns.example. admin.example. 1 2 3 4 5", [], "example."),
])  # fmt: skip
def test_withheld_records_leave_a_denial(text, left, owner):
    """With the names that lead there, and an SOA, of the upstream or ours."""
    answer = said(QUERY, text)
    found = withheld(answer, QUERY)
    assert lines(QUERY, found) == left
    assert [str(record.rname) for record in message(QUERY, found).auth] == [owner]
    assert (found.rcode, found.ad, found.lifetime) == (0, False, answer.lifetime)
    assert withheld(found, QUERY) is found


def test_other_records_of_any_are_not_withheld():
    """Nor is anything denied then."""
    query = question("a.example", "ANY")
    found = withheld(said(query, f"{https(SECRET)}\na.example 60 IN A 192.0.2.1"), query)
    assert lines(query, found) == ["a.example. 60 A 192.0.2.1"]
    assert found.authorities == 0


@pytest.mark.parametrize("data", ["000100 0005 0004 00", "000100 0001 0000", "000100 0005 0000 0005 0000"])
def test_what_cannot_be_read_is_malformed(data):
    """A client must refuse it too; withheld it does not matter."""
    answer = unread(QUERY, f"a.example 60 IN 65 # {data}")
    with pytest.raises(Malformed):
        stripped(answer, QUERY)
    assert withheld(answer, QUERY).answers == 0


OFFERED = st.lists(st.sampled_from(["h2", "h3", "h3-29", "http/1.1", "h33"]), min_size=1, max_size=4).map(
    lambda found: names(*found)
)
OTHERS = st.sets(st.sampled_from([HINT, PORT, NDA, SECRET, (7, b"/q"), (667, b"\xff"), mandatory(1, 5), mandatory(3)]))
SERVICE = st.builds(
    lambda offered, others, priority, target: (priority.to_bytes(2) + target, (*offered, *others)),
    OFFERED.map(lambda found: [found]) | st.just([]), OTHERS, st.integers(0, 3),
    st.sampled_from([b"\0", b"\x01b\x04test\0", b"\xc0\x0c"]),
)  # fmt: skip
RECORD = SERVICE.map(lambda found: (65, found[0] + pack(sorted(dict(found[1]).items())))) | st.sampled_from([
    (5, b"\x01b\xc0\x0c"), (16, b"\x02h3"), (1, b"\xc0\0\2\1"), (15, b"\0\5\xc0\x0c"), (999, b"\xc0\x0c\0\5"),
])  # fmt: skip
OWNER = st.sampled_from([b"\xc0\x0c", b"\x01b\x04test\0", wire_name((b"A", b"example"))])


@given(st.lists(st.tuples(OWNER, RECORD), max_size=6))
def test_all_that_is_not_stripped_stays_byte_for_byte(made):
    """Other records, and of stripped ones other parameters, in their order; to strip again changes nothing."""
    body = b"".join(
        owner + struct.pack("!HHIH", rtype, 1, 60 + at, len(data)) + data
        for at, (owner, (rtype, data)) in enumerate(made)
    )
    header = wire.HEADER.pack(1, wire.QR, 1, len(made), 0, 0)
    try:
        answer = read_answer(header + QUERY.question + body)
    except Malformed:
        return
    found = stripped(answer, QUERY)
    assert stripped(found, QUERY) is found
    before, after = read(QUERY, answer), read(QUERY, found)
    left = {record.ttl: record for record in after.answers}
    for record in before.answers:
        start = svcparams.begin(before.packet, record.data_at, record.end) if record.rtype == 65 else record.end
        held = dict(svcparams.read(before.packet, start, record.end))
        now = left.pop(record.ttl, None)
        if now is None:
            assert NO_DEFAULT_ALPN in held
            assert all(name.startswith(b"h3") for name in svcparams.protocols(held[ALPN]))
            continue
        assert (now.owner, now.rtype, now.rclass) == (record.owner, record.rtype, record.rclass)
        if record.rtype != 65:
            assert after.data(now) == before.data(record)
            continue
        begun = svcparams.begin(after.packet, now.data_at, now.end)
        kept = dict(svcparams.read(after.packet, begun, now.end))
        assert ECH not in kept
        assert not any(name.startswith(b"h3") for name in svcparams.protocols(kept.get(ALPN, b"\x01x")))
        touched = {MANDATORY, ALPN, NO_DEFAULT_ALPN, ECH}
        assert {item for item in kept.items() if item[0] not in touched} == {
            item for item in held.items() if item[0] not in touched
        }
        assert after.data(now)[: begun - now.data_at] == before.data(record)[: begun - now.data_at]
    assert not left


@given(st.binary(max_size=60))
def test_any_parameters_are_stripped_or_malformed(data):
    """Nothing else is raised."""
    body = b"\xc0\x0c" + struct.pack("!HHIH", 65, 1, 60, len(data) + 3) + b"\0\1\0" + data
    answer = Answer(0, body, 1, 0, (6,), (), 60)
    with contextlib.suppress(Malformed):
        found = stripped(answer, QUERY)
        assert found is answer or stripped(found, QUERY) is found
    assert withheld(answer, QUERY).answers == 0
