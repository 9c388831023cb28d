"""Records of the operator's own: what each answers, and which mean nothing."""

from __future__ import annotations

import pytest
from dnslib import QTYPE, TXT
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import wire
from filterproxy.dns.cache import failure
from filterproxy.dns.local import Local, check_records
from filterproxy.settings.dns import Record
from tests.dns.rooms import SOA, Below, ask, lines, message, question


def own(name: str, rtype: str, value: str, ttl: int = 300) -> Record:
    return Record.model_validate({"name": name, "type": rtype, "value": value, "ttl": ttl})


RECORDS = (
    own("router.home.example", "A", "192.168.1.1"),
    own("router.home.example", "A", "192.168.1.2", 60),
    own("router.home.example", "AAAA", "fd00::1"),
    own("1.1.168.192.in-addr.arpa", "PTR", "Router.home.example."),
    own("home.example", "MX", "10 mail.home.example"),
    own("null.example", "MX", "0 ."),
    own("_sip._tcp.home.example", "SRV", "0 5 5060 sip.home.example"),
    own("text.example", "TXT", '"as it is" ö'),
    own("www.home.example", "CNAME", "router.home.example"),
    own("chain.home.example", "CNAME", "www.home.example", 10),
    own("out.home.example", "CNAME", "there.test", 200),
    own("far.home.example", "CNAME", "out.home.example"),
    own("me.home.example", "CNAME", "me.localhost"),
    own("printer.localhost", "A", "192.168.1.9"),
)


def room(zone: dict[tuple[str, str], str] | None = None, *, late: bool = False) -> tuple[Local, Below]:
    below = Below({**(zone or {})}, late)
    return Local(below, RECORDS), below


@pytest.mark.parametrize(("name", "rtype", "expected"), [
    ("ROUTER.home.example", "A",
     ["ROUTER.home.example. 300 A 192.168.1.1", "ROUTER.home.example. 60 A 192.168.1.2"]),
    ("router.home.example", "AAAA", ["router.home.example. 300 AAAA fd00::1"]),
    ("1.1.168.192.in-addr.arpa", "PTR", ["1.1.168.192.in-addr.arpa. 300 PTR router.home.example."]),
    ("home.example", "MX", ["home.example. 300 MX 10 mail.home.example."]),
    ("null.example", "MX", ["null.example. 300 MX 0 ."]),
    ("_sip._tcp.home.example", "SRV", ["_sip._tcp.home.example. 300 SRV 0 5 5060 sip.home.example."]),
    ("www.home.example", "AAAA",
     ["www.home.example. 300 CNAME router.home.example.", "router.home.example. 300 AAAA fd00::1"]),
    ("www.home.example", "CNAME", ["www.home.example. 300 CNAME router.home.example."]),
    ("www.home.example", "ANY", ["www.home.example. 300 CNAME router.home.example."]),
    ("chain.home.example", "AAAA",
     ["chain.home.example. 10 CNAME www.home.example.", "www.home.example. 300 CNAME router.home.example.",
      "router.home.example. 300 AAAA fd00::1"]),
    ("localhost", "A", ["localhost. 300 A 127.0.0.1"]),
    ("LocalHost", "AAAA", ["LocalHost. 300 AAAA ::1"]),
    ("x.y.localhost", "A", ["x.y.localhost. 300 A 127.0.0.1"]),
    ("localhost", "ANY", ["localhost. 300 A 127.0.0.1", "localhost. 300 AAAA ::1"]),
    ("me.home.example", "A", ["me.home.example. 300 CNAME me.localhost.", "me.localhost. 300 A 127.0.0.1"]),
    ("printer.localhost", "A", ["printer.localhost. 300 A 192.168.1.9"]),
])  # fmt: skip
def test_a_record_is_answered_without_asking_anybody(name, rtype, expected):
    """Whatever the case, which the answer repeats; a CNAME with what it leads to, and localhost is this machine."""
    local, below = room()
    query = question(name, rtype)
    answer = ask(local, query)
    assert lines(query, answer) == expected
    assert (answer.rcode, answer.authorities, answer.ad) == (wire.NOERROR, 0, False)
    assert below.asked == []


@pytest.mark.parametrize(("name", "rtype", "answers", "owner"), [
    ("router.home.example", "TXT", 0, "router.home.example."),
    ("home.example", "A", 0, "home.example."),
    ("www.home.example", "MX", 1, "router.home.example."),
    ("localhost", "MX", 0, "localhost."),
    ("printer.localhost", "AAAA", 0, "printer.localhost."),
])  # fmt: skip
def test_other_types_of_a_name_are_denied(name, rtype, answers, owner):
    """With an SOA of that name, so that the denial is kept a minute."""
    local, below = room()
    query = question(name, rtype)
    answer = ask(local, query)
    assert (answer.rcode, answer.answers, answer.lifetime) == (wire.NOERROR, answers, 60)
    assert [str(record.rname) for record in message(query, answer).auth] == [owner]
    assert below.asked == []


@pytest.mark.parametrize("name", [
    "x.router.home.example", "example", (), "localhost.example", "notlocalhost", (b"x\x09localhost",), (b"\xff",),
])  # fmt: skip
def test_other_names_pass(name):
    """What lies below a record's name is not its own."""
    local, below = room()
    query = question(name)
    assert ask(local, query) is below.given[0]
    assert below.asked == [query]


def test_other_classes_pass():
    """Ours are of the Internet."""
    local, below = room()
    packet = bytearray(wire.HEADER.pack(1, 0x0100, 1, 0, 0, 0) + question("localhost").question)
    packet[-1] = 3
    assert ask(local, wire.read_query(bytes(packet))) is below.given[0]


def test_a_cname_that_leads_elsewhere_is_followed():
    """Its target is asked for with the same type and bits, and what is said there is appended."""
    text = "there.test 60 IN CNAME other.test\nother.test 50 IN A 192.0.2.1\nauthority test 70 IN NS ns.test."
    local, below = room({("there.test", "A"): text}, late=True)
    query = question("FAR.home.example", do=True)
    answer = ask(local, query, below)
    assert lines(query, answer) == [
        "FAR.home.example. 300 CNAME out.home.example.",
        "out.home.example. 200 CNAME there.test.",
        "there.test. 60 CNAME other.test.",
        "other.test. 50 A 192.0.2.1",
    ]
    assert [str(record.rdata) for record in message(query, answer).auth] == ["ns.test."]
    assert answer.chain == ("out.home.example", "there.test", "other.test")
    assert (answer.lifetime, answer.ad) == (50, False)
    assert below.names == [("there.test", "A")]
    assert (below.asked[0].name, below.asked[0].do) == (b"\x05there\x04test\0", True)


@pytest.mark.parametrize(("said", "rcode", "answers", "ede"), [
    (f"NXDOMAIN\n{SOA}", 3, 1, None),
    (SOA, 0, 1, None),
    (failure(2, 23), 2, 0, 23),
    (failure(0, 15), 0, 1, 15),
    (type(failure(0))(0, b"\xc0\x0c\0\5", 1, 0, (), (), 60), 2, 0, 22),
])  # fmt: skip
def test_what_its_target_lacks_is_told(said, rcode, answers, ede):
    """A denial comes with the CNAME, a failure alone."""
    local, _ = room({("there.test", "A"): said})
    answer = ask(local, question("out.home.example"))
    assert (answer.rcode, answer.answers, answer.ede) == (rcode, answers, ede)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=2000))
def test_a_text_of_any_length_is_told_whole(text):
    """In strings of 255 bytes at most, that stand for one."""
    query = question("text.example", "TXT")
    found = message(query, ask(Local(Below(), (own("text.example", "TXT", text),)), query)).rr[0]
    assert QTYPE[found.rtype] == "TXT"
    assert isinstance(found.rdata, TXT)
    assert b"".join(found.rdata.data) == text.encode()


@pytest.mark.parametrize(("records", "text"), [
    ([own("a.example", "A", "192.0.2.1"), own("b.example", "A", "2001:db8::1")], r"^dns.records.1.value: write"),
    ([own("a.example", "A", "192.0.2")], "IPv4"),
    ([own("a.example", "AAAA", "192.0.2.1")], "IPv6"),
    ([own("a.example", "AAAA", "fe80::1%eth0")], "IPv6"),
    ([own("a.example", "CNAME", "192.0.2.1")], "host name"),
    ([own("a.example", "CNAME", ".")], "host name"),
    ([own("a.example", "CNAME", f"{'a' * 64}.example")], "value: a label has 1 to 63"),
    ([own("a.example", "PTR", "a b")], "host name"),
    ([own("a.example", "MX", "mail.example")], "a preference and a name"),
    ([own("a.example", "MX", "-1 mail.example")], "a preference and a name"),
    ([own("a.example", "MX", "65536 mail.example")], "65535 at most"),
    ([own("a.example", "SRV", "0 5 sip.example")], "priority, weight"),
    ([own("a.example", "SRV", "0 5 ² sip.example")], "priority, weight"),
    ([own("a.example", "SRV", "0 5 1 [::1]")], "host name"),
    ([own("a.example", "MX", "   ")], "preference"),
    ([own("a.example", "A", "192.0.2.1"), own("a.example", "A", " 192.0.2.1", 5)], r"records.1: .* twice"),
    ([own("a.example", "A", "192.0.2.1"), own("a.example", "CNAME", "b.example")], r"records.1: .* CNAME"),
    ([own("a.example", "CNAME", "b.example"), own("a.example", "A", "192.0.2.1")], r"records.1: .* CNAME"),
    ([own("a.example", "CNAME", "b.example"), own("a.example", "CNAME", "c.example")], r"records.1: .* CNAME"),
    ([own("a.example", "CNAME", "a.example")], "records.0: a circle"),
    ([own("a.example", "CNAME", "b.example"), own("b.example", "CNAME", "A.example")], "records.0: a circle"),
    ([own(f"a{number}.example", "CNAME", f"a{number + 1}.example") for number in range(10)], "more than 8"),
    ([own("a.example", "A", f"192.0.2.{number}") for number in range(101)], "records.100: .* at most"),
    ([own("a.example", "TXT", f"{number:02}{'x' * 1998}") for number in range(16)], "bytes at most"),
])  # fmt: skip
def test_records_that_mean_nothing_are_errors(records, text):
    """The message begins with the record's key, and nothing is served then."""
    with pytest.raises(ValueError, match=text) as found:
        check_records(records)
    assert str(found.value).startswith("dns.records.")
    with pytest.raises(ValueError, match=text):
        Local(Below(), records)


def test_as_many_as_may_be_are_answered():
    """What the check lets through fits into a message, and CNAMEs to their end."""
    full = [own("a.example", "TXT", f"{number:02}{'x' * 300}") for number in range(100)]
    aliases = [own(f"a{number}.example", "CNAME", f"a{number + 1}.example") for number in range(8)]
    records = (*full, *aliases, own("a8.example", "A", "192.0.2.1"))
    check_records(records)
    local = Local(Below(), records)
    assert ask(local, question("a.example", "TXT")).answers == 100
    assert ask(local, question("a0.example")).answers == 9
