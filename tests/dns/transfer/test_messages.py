from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdatatype
import dns.versioned
import dns.xfr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import wire
from filterproxy.dns.transfer.messages import SIZE, SMALLEST, axfr, count, ixfr, notify, soa
from filterproxy.dns.transfer.versions import Version
from tests.dns.transfer.zones import NAME, QUESTION, ROOM, names, read, zone

IXFR = QUESTION[:-4] + b"\0\xfb\0\x01"
SOA = QUESTION[:-4] + b"\0\x06\0\x01"
MANY = [f"{n}.a.example" for n in range(3000)]


def version(*steps):
    """Return the version that these lists of names led to, serials from 1."""
    found = Version(zone(names(*steps[0])), 1)
    for serial, step in enumerate(steps[1:], 2):
        found = found.after(zone(names(*step)), serial)
    return found


def taken(packets, held=None):
    """Return the zone that a receiver with `held` has once it took these messages."""
    held = held or dns.versioned.Zone(dns.name.from_text(NAME))
    first = next(packets := iter(packets))
    kind = dns.message.from_wire(first).question[0].rdtype
    serial = None
    if kind == dns.rdatatype.IXFR:
        with held.reader() as reader:
            serial = reader.get(dns.name.empty, dns.rdatatype.SOA)[0].serial
    done, single = False, kind == dns.rdatatype.IXFR
    with dns.xfr.Inbound(held, kind, serial) as inbound:
        for packet in [first, *packets]:
            assert not done
            message = dns.message.from_wire(packet, xfr=True, one_rr_per_rrset=single, origin=held.origin)
            done = inbound.process_message(message)
    assert done
    return held


def text(of):
    """Return a zone's records as text."""
    return {(str(name), str(item)) for name, _, item in of.iterate_rdatas()}


def test_a_whole_zone_is_taken_as_it_stands():
    """It begins and ends with the SOA, has a name server, and every record once."""
    packets = list(axfr(version(MANY), 7, QUESTION, room=ROOM))
    found = read(packets)
    assert [rtype for _, rtype, _ in found[:2]] == ["SOA", "NS"]
    assert found[0] == found[-1]
    assert len(found) == len(set(found)) + 1 == len(MANY) + 3
    assert len(text(taken(packets))) == len(MANY) + 2


def test_messages_leave_room_for_what_they_must_carry():
    """None is longer than told less the room, each repeats id and question, and few bytes are left unused."""
    for size in (SMALLEST, SIZE, 65_535):
        packets = list(axfr(version(MANY), 7, QUESTION, room=ROOM, size=size))
        assert all(len(packet) <= size - ROOM for packet in packets)
        assert all(len(packet) > size - ROOM - 100 for packet in packets[:-1])
        for packet in packets:
            message = dns.message.from_wire(packet)
            assert (message.id, message.flags) == (7, dns.flags.QR | dns.flags.AA)
            assert packet[wire.HEADER.size :].startswith(QUESTION)


def test_a_size_without_room_is_raised():
    """However little is asked for, a message holds a record and the transfer ends."""
    longest = [f"{'.'.join(['a' * 49] * 4)}.n{n:033}" for n in range(20)]
    question = QUESTION[:4] + b"T" + QUESTION[5:]
    assert len(read(axfr(version(longest), 7, question, room=500, size=1))) == 20 + 3


def test_names_are_spelled_as_the_question_spells_the_zone():
    """A receiver that checks every letter's case finds its own."""
    found = read(axfr(version(["a.example"]), 1, QUESTION.replace(b"rpz", b"RpZ"), room=ROOM))
    assert found[2][0] == "a.example.list.RpZ.example."


STEPS = st.lists(
    st.sets(st.sampled_from(["a.example", "b.example.", "*.c.example", "d.c.example", "e.d.c.example."])),
    min_size=1, max_size=5,
)  # fmt: skip


@given(STEPS, st.data())
def test_differences_make_the_zone_that_a_whole_transfer_makes(steps, data):
    """From any version that a receiver has, dnspython comes to the same zone by what changed as by the whole."""
    last = version(*steps)
    start = data.draw(st.integers(1, len(steps)))
    held = taken(axfr(version(*steps[:start]), 1, QUESTION, room=ROOM))
    found = taken(ixfr(last, 1, IXFR, start, room=ROOM), held)
    assert text(found) == text(taken(axfr(last, 1, QUESTION, room=ROOM)))


def test_what_changed_is_few_records():
    """Ten changes in a big zone are twenty records and six SOAs at most, not the zone."""
    last = version(MANY, MANY[5:], [*MANY[5:], *(f"{n}.b.example" for n in range(5))])
    (packet,) = ixfr(last, 1, IXFR, 1, room=ROOM)
    assert len(read([packet])) == 10 + 6
    assert (count(last, 1), count(last), count(last, 77), count(last, 3)) == (10, len(MANY), len(MANY), 0)


@pytest.mark.parametrize("serial", [3, 4, 2**31])
def test_a_receiver_that_has_it_gets_the_soa_alone(serial):
    """So does one that says it has a newer one (RFC 1995, section 2)."""
    last = version(["a.example"], ["b.example"], ["c.example"])
    assert list(ixfr(last, 1, IXFR, serial, room=ROOM)) == [soa(last, 1, IXFR)]
    assert [rtype for _, rtype, _ in read([soa(last, 1, SOA)])] == ["SOA"]


@pytest.mark.parametrize("serial", [0, 2**32 - 5])
def test_a_receiver_with_what_nobody_knows_gets_the_whole_zone(serial):
    """In the form of a whole transfer, as an answer to what it asked."""
    last = version(["a.example"], ["b.example"])
    packets = list(ixfr(last, 1, IXFR, serial, room=ROOM))
    assert read(packets) == read(axfr(last, 1, QUESTION, room=ROOM))
    assert packets[0][wire.HEADER.size :].startswith(IXFR)


def test_word_of_a_new_version_names_it():
    """NOTIFY asks about the SOA and carries it (RFC 1996)."""
    message = dns.message.from_wire(notify(version(["a.example"], ["b.example"]), 9))
    assert (message.id, message.opcode(), message.flags & dns.flags.QR) == (9, dns.opcode.NOTIFY, 0)
    assert (str(message.question[0].name), message.answer[0][0].serial) == (f"{NAME}.", 2)


def test_an_empty_zone_is_a_zone():
    """A list of which nothing can be said is served all the same: receivers would complain of none."""
    assert [rtype for _, rtype, _ in read(axfr(version([]), 1, QUESTION, room=ROOM))] == ["SOA", "NS", "SOA"]
