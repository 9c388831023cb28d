"""What requests for DNS over HTTPS ask, and what their answers say of themselves."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import pytest
from dnslib import RR, DNSRecord
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns.doh_words import (
    LONGEST_PATH,
    NOT_ALLOWED,
    NOT_FOUND,
    OK,
    OTHER_TYPE,
    TOO_LARGE,
    TOO_LONG,
    UNREADABLE,
    Request,
    Site,
    lifetime,
    opening_of,
    refusals,
)
from filterproxy.dns.http2.heads import Fields
from tests.dns.fakes import query

ASKED = bytes(query("fine.example", ident=0).pack())
TEXT = base64.urlsafe_b64encode(ASKED).rstrip(b"=")
SITE = Site("/dns-query", frozenset({"kids"}))
MEDIA = b"application/dns-message"


@pytest.mark.parametrize(("fields", "found"), [
    (Fields(b"GET", b"/dns-query?dns=" + TEXT), Request(OK, ASKED)),
    (Fields(b"GET", b"/dns-query?x=1&dns=" + TEXT + b"&y"), Request(OK, ASKED)),
    (Fields(b"GET", b"/dns-query?dns=" + TEXT + b"=" * (-len(TEXT) % 4)), Request(OK, ASKED)),
    (Fields(b"GET", b"/dns-query/kids?dns=" + TEXT), Request(OK, ASKED, "kids")),
    (Fields(b"POST", b"/dns-query", MEDIA, 50), Request(OK, length=50)),
    (Fields(b"POST", b"/dns-query?dns=x", MEDIA.upper() + b" ; q=1"), Request(OK)),
    (Fields(b"POST", b"/dns-query/kids", MEDIA), Request(OK, profile="kids")),
    (Fields(b"GET", b"/dns-query/adults?dns=" + TEXT), Request(NOT_FOUND)),
    (Fields(b"GET", b"/dns-query/?dns=" + TEXT), Request(NOT_FOUND)),
    (Fields(b"GET", b"/?dns=" + TEXT), Request(NOT_FOUND)),
    (Fields(b"OPTIONS", b"*"), Request(NOT_FOUND)),
    (Fields(b"GET", b"/dns-query?dns=" + b"A" * LONGEST_PATH), Request(TOO_LONG)),
    (Fields(b"GET", b"/dns-query"), Request(UNREADABLE)),
    (Fields(b"GET", b"/dns-query?dns="), Request(UNREADABLE)),
    (Fields(b"GET", b"/dns-query?dns=AAA"), Request(UNREADABLE)),
    (Fields(b"GET", b"/dns-query?dns=" + TEXT + b"*"), Request(UNREADABLE)),
    (Fields(b"GET", b"/dns-query?dns=" + TEXT + b"&dns=" + TEXT), Request(UNREADABLE)),
    (Fields(b"HEAD", b"/dns-query?dns=" + TEXT), Request(NOT_ALLOWED)),
    (Fields(b"PUT", b"/dns-query", MEDIA), Request(NOT_ALLOWED)),
    (Fields(b"POST", b"/dns-query", b"text/plain"), Request(OTHER_TYPE)),
    (Fields(b"POST", b"/dns-query"), Request(OTHER_TYPE)),
    (Fields(b"POST", b"/dns-query", MEDIA, 65_536), Request(TOO_LARGE)),
])  # fmt: skip
def test_a_request_is_understood(fields: Fields, found: Request):
    """RFC 8484, section 4.1: by GET or POST, on our path alone, or that of a profile that may be chosen."""
    made = SITE.understand(fields)
    assert (made.status, made.packet, made.profile) == (found.status, found.packet, found.profile)


@given(st.binary(max_size=100))
def test_any_question_may_stand_in_a_path(packet: bytes):
    """In base64url without padding; what is shorter than a header is none."""
    text = base64.urlsafe_b64encode(packet).rstrip(b"=")
    made = SITE.understand(Fields(b"GET", b"/dns-query?dns=" + text))
    assert made == (Request(OK, packet) if len(packet) >= 12 else Request(UNREADABLE))


@given(st.binary(max_size=60), st.binary(max_size=10), st.binary(max_size=10))
def test_any_path_is_understood(path: bytes, method: bytes, media: bytes):
    """Nothing is raised, whatever stands there."""
    assert SITE.understand(Fields(method, b"/dns-query?" + path, media)).status in {OK, *refusals()}
    assert SITE.understand(Fields(b"GET", path, media)).status in refusals()


def reply(answers: str = "", authority: str = "") -> bytes:
    made = query("fine.example", ident=0).reply(aa=0)
    made.add_answer(*RR.fromZone(answers))
    made.add_auth(*RR.fromZone(authority))
    return bytes(made.pack())


def as_text(fields: Iterable[tuple[object, object]]) -> dict[str, str]:
    return {str(name): str(value) for name, value in fields}


SOA = "example. {} IN SOA ns.example. root.example. 1 7200 3600 1209600 {}"


@pytest.mark.parametrize(("packet", "seconds"), [
    (reply("fine.example. 300 IN A 192.0.2.1\nfine.example. 60 IN A 192.0.2.2"), 60),
    (reply("fine.example. 300 IN CNAME a.example.\na.example. 30 IN A 192.0.2.2"), 30),
    (reply("fine.example. 300 IN A 192.0.2.1", SOA.format(5, 5)), 300),
    (reply("fine.example. 0 IN A 192.0.2.1"), 0),
    (reply("", SOA.format(900, 60)), 60),
    (reply("", SOA.format(60, 900)), 60),
    (reply("", "example. 900 IN NS ns.example."), 0),
    (reply(), 0),
    (ASKED[:12], 0), (ASKED[:20], 0), (b"", 0),
])  # fmt: skip
def test_an_answer_may_be_kept_as_long_as_its_records(packet: bytes, seconds: int):
    """The smallest TTL of the answer, or what an SOA says where there is none (RFC 8484, section 5.1)."""
    assert lifetime(packet) == seconds


@given(st.binary(max_size=80))
def test_any_reply_has_a_lifetime(packet: bytes):
    """Whatever an upstream said."""
    assert lifetime(packet) >= 0
    assert lifetime(reply("fine.example. 300 IN A 192.0.2.1")[:12] + packet) >= 0


@pytest.mark.parametrize("size", [30, 2000])
def test_the_head_of_an_answer_is_what_others_read(size: int):
    """As HPACK, with a table of no bytes: type, length, and that only who asked may keep it."""
    text = "".join(f'fine.example. 77 IN TXT "{"x" * 200}"\n' for _ in range(size // 200))
    packet = reply(f"fine.example. 99 IN A 192.0.2.1\n{text}")
    for _ in range(2):
        decoder = Decoder()
        decoder.header_table_size = 0
        assert as_text(decoder.decode(opening_of(packet[2:]).block)) == {
            ":status": "200", "content-type": "application/dns-message", "content-length": str(len(packet)),
            "cache-control": f"private, max-age={77 if text else 99}",
        }  # fmt: skip


def test_refusals_are_what_others_read():
    """Each is its status alone; of a method that is not allowed also which are (RFC 9110, section 15.5.6)."""
    for status, opening in refusals().items():
        found = as_text(Decoder().decode(opening.block))
        assert found == {":status": str(status)} | ({"allow": "GET, POST"} if status == NOT_ALLOWED else {})


def test_a_question_is_not_shown():
    """Not where a request is printed, as in a traceback."""
    assert "fine" not in repr(SITE.understand(Fields(b"GET", b"/dns-query?dns=" + TEXT)))
    assert str(DNSRecord.parse(ASKED).q.qname) == "fine.example."
