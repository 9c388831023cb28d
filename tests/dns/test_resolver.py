"""A question in, an answer out: what clients get for blocked names, for allowed ones, and for nonsense."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from dnslib import EDNS0, QTYPE, RCODE, DNSLabel, DNSRecord, EDNSOption

from filterproxy.core.model import Entry, Kind, ListFormat, Listing, OnFailure, Scope
from filterproxy.core.policy import Profile
from filterproxy.dns.asking import TCP, UDP, Way
from filterproxy.dns.cache import failure
from filterproxy.dns.memo import Template
from filterproxy.dns.names import MAX_CHAIN
from tests.dns import rooms
from tests.dns.fakes import CLIENT, NOW, Below, Bench, Upstream, answered, bench, ede, opt, policy_of, query, tree

A = "{} 300 IN A 192.0.2.80"


def name_hex(*labels: str) -> str:
    """Return a name in wire form, as dnslib takes the data of records that it does not know."""
    return b"".join(bytes([len(label)]) + label.encode() for label in (*labels, "")).hex()


@pytest.mark.parametrize(("name", "rtype", "rcode", "data", "code"), [
    ("blocked.example", "A", "NXDOMAIN", [], 16),
    ("deep.below.blocked.example", "AAAA", "NXDOMAIN", [], 16),
    ("blocked.example", "HTTPS", "NXDOMAIN", [], 16),
    ("BLOCKED.Example", "TXT", "NXDOMAIN", [], 16),
    ("only.example", "A", "NOERROR", [], 15),  # what is below it is not blocked, and NXDOMAIN would deny that
    ("null.example", "A", "NOERROR", ["0.0.0.0"], 17),
    ("null.example", "AAAA", "NOERROR", ["::"], 17),
    ("null.example", "HTTPS", "NOERROR", [], 17),
    ("nodata.example", "A", "NOERROR", [], 15),
    ("refused.example", "A", "REFUSED", [], 15),
    ("notice.example", "A", "NOERROR", ["192.0.2.1", "192.0.2.2"], 15),
    ("notice.example", "AAAA", "NOERROR", ["2001:db8::1"], 15),
    ("notice.example", "MX", "NOERROR", [], 15),
])  # fmt: skip
async def test_a_blocked_name_is_answered_as_its_list_says(name, rtype, rcode, data, code):
    """Each kind of block answer, with the list's extended error, and a SOA wherever something is denied."""
    here = bench(notice_addresses=("192.0.2.1", "2001:db8::1", "192.0.2.2"), block_ttl=45)
    reply = await here.ask(query(name, rtype, do=True))
    assert (RCODE[reply.header.rcode], [str(item.rdata) for item in reply.rr], ede(reply)) == (rcode, data, code)
    assert (reply.header.qr, reply.header.ra, reply.header.rd) == (1, 1, 1)
    assert (reply.header.aa, reply.header.ad, reply.header.tc) == (0, 0, 0)
    assert (opt(reply).edns_len, opt(reply).edns_do) == (1232, 1)
    assert all(item.ttl == 45 for item in (*reply.rr, *reply.auth))
    soas = [item.rdata.times[4] for item in reply.auth if item.rtype == QTYPE.SOA]
    assert soas == ([45] if not data and rcode != "REFUSED" else [])
    assert [verdict.blocked for verdict in here.counts.verdicts] == [True]


async def test_without_edns_a_client_gets_no_opt():
    """OPT answers OPT, and nothing else does (RFC 6891)."""
    reply = await bench().ask(query("blocked.example", edns=None))
    assert opt(reply) is None
    assert RCODE[reply.header.rcode] == "NXDOMAIN"


async def test_the_spelling_and_the_bits_of_the_client_come_back():
    """Question, id and CD are repeated as sent, blocked or not."""
    async with Upstream({("fine.example", "A"): A.format("fine.example")}) as upstream:
        here = bench(upstream.address)
        for name in (b"bLoCkEd.ExAmPlE", b"fInE.eXaMpLe"):
            asked = query(DNSLabel(name))
            asked.header.cd = 1
            for _ in range(2):  # from the upstream, then from the cache
                reply = await here.ask(asked)
                assert b".".join(reply.q.qname.label) == name
                assert (reply.header.id, reply.header.rd, reply.header.cd, reply.header.ad) == (4711, 1, 1, 0)
        assert len(upstream.seen) == 1


async def test_an_allowed_name_is_forwarded_and_remembered():
    """The upstream is asked once, with our own OPT; its TTLs sink while its answer waits in the cache."""
    async with Upstream({("fine.example", "A"): A.format("fine.example")}) as upstream:
        here = bench(upstream.address)
        first = await here.ask(query("fine.example"))
        here.clock.seconds += 100
        second = await here.ask(query("FINE.example", edns=None))
        here.clock.seconds += 201
        await here.ask(query("fine.example"))
    assert [str(item.rdata) for item in first.rr] == ["192.0.2.80"]
    assert (first.rr[0].ttl, second.rr[0].ttl) == (300, 200)
    assert len(upstream.seen) == 2
    sent = upstream.seen[0]
    assert (sent.header.rd, sent.header.cd, opt(sent).edns_len, opt(sent).rdata) == (1, 0, 1232, [])
    assert here.counts.events == {"dns_queries": 3, "dns_cache_hit": 1}
    assert [verdict.blocked for verdict in here.counts.verdicts] == [False] * 3


@pytest.mark.parametrize(("zone", "rtype", "code"), [
    ("www.fine.example 60 IN CNAME x.blocked.example\nx.blocked.example 60 IN A 192.0.2.7", "A", 16),
    ("www.fine.example 60 IN CNAME a.example\na.example 60 IN CNAME only.example", "A", 15),
    ("www.fine.example 60 IN CNAME x.blocked.example", "CNAME", 16),
    (f"fine.example 60 IN DNAME {name_hex('blocked', 'example')}", "A", 16),
    ("other.blocked.example 60 IN A 192.0.2.7", "A", 16),
    ("www.fine.example 60 IN HTTPS 1 x.blocked.example. ipv4hint=192.0.2.7", "HTTPS", 16),
])  # fmt: skip
async def test_the_whole_chain_is_judged(zone, rtype, code):
    """A name that leads to a blocked one is answered NODATA: it is not itself denied, nor what lies below it."""
    async with Upstream({("www.fine.example", rtype): zone}) as upstream:
        here = bench(upstream.address)
        for _ in range(2):  # the second time from the cache, where the answer may be kept
            reply = await here.ask(query("www.fine.example", rtype))
            assert (RCODE[reply.header.rcode], reply.rr, ede(reply)) == ("NOERROR", [], code)
    assert [verdict.blocked for verdict in here.counts.verdicts] == [True, True]


async def test_a_dname_is_judged_as_it_applies_and_no_wider():
    """The target of a DNAME is not what was asked for: only the name that it makes of the question is judged."""
    dname = f"fine.example 60 IN DNAME {name_hex('only', 'example')}"
    zone = f"{dname}\nwww.fine.example 60 IN CNAME www.only.example\nwww.only.example 60 IN A 192.0.2.7"
    async with Upstream({("www.fine.example", "A"): zone}) as upstream:
        reply = await bench(upstream.address).ask(query("www.fine.example"))
    assert [QTYPE[item.rtype] for item in reply.rr] == ["DNAME", "CNAME", "A"]


@pytest.mark.parametrize(("names", "rcode"), [(MAX_CHAIN, "NOERROR"), (MAX_CHAIN + 1, "SERVFAIL")])
async def test_an_answer_leads_to_few_names(names, rcode):
    """Each is judged at every use, so an answer that leads to very many is none."""
    records = "\n".join(f"fine.example 60 IN HTTPS 1 n{number}.example." for number in range(names - 1))
    async with Upstream({("fine.example", "HTTPS"): records}) as upstream:
        reply = await bench(upstream.address, timeout=timedelta(seconds=2)).ask(
            query("fine.example", "HTTPS"), tcp=True
        )
    assert RCODE[reply.header.rcode] == rcode


@pytest.mark.parametrize(("name", "rtype", "blocked"), [
    ("_8443._https.only.example", "HTTPS", True),
    ("_dns.only.example", "SVCB", True),
    ("_8443._https.fine.example", "HTTPS", False),
    ("_8443._https.www.only.example", "HTTPS", False),
    ("_dmarc.only.example", "TXT", False),  # no service of that host
])  # fmt: skip
async def test_the_service_of_a_blocked_host_is_blocked(name, rtype, blocked):
    """A browser asks for the host's records below underscores; that name is not denied, for only the host is listed."""
    reply = await bench("127.0.0.1:9").ask(query(name, rtype))
    assert (RCODE[reply.header.rcode], ede(reply)) == (("NOERROR", 15) if blocked else ("SERVFAIL", 23))


async def test_ttls_end_where_the_verdict_could_change():
    """A client keeps no answer beyond the moment at which an entry begins to count; a second is the least."""
    entries = [Entry(Kind.DOMAIN, "soon.example", Scope.TREE, not_before=NOW + timedelta(seconds=30))]
    policy = policy_of((Listing("law"), entries))
    zone = {("soon.example", "A"): "soon.example 300 IN A 192.0.2.1\nsoon.example 20 IN A 192.0.2.2"}
    async with Upstream(zone) as upstream:
        here = bench(upstream.address, policy=policy)
        assert [record.ttl for record in (await here.ask(query("soon.example"))).rr] == [30, 20]
        here.now += timedelta(seconds=29.5)
        assert [record.ttl for record in (await here.ask(query("soon.example"))).rr] == [1, 1]
        here.now += timedelta(seconds=1)
        assert ede(await here.ask(query("soon.example"))) == 15


async def test_who_wants_no_recursion_learns_nothing_of_others():
    """REFUSED, also for what the cache holds; a blocked name is answered as blocked."""
    async with Upstream({("fine.example", "A"): A.format("fine.example")}) as upstream:
        here = bench(upstream.address)
        replies = []
        for rd in (0, 1, 0):
            asked = query("fine.example")
            asked.header.rd = rd
            replies.append(await here.ask(asked))
        blocked = query("blocked.example")
        blocked.header.rd = 0
        assert RCODE[(await here.ask(blocked)).header.rcode] == "NXDOMAIN"
    assert [(RCODE[item.header.rcode], len(item.rr)) for item in replies] == [
        ("REFUSED", 0),
        ("NOERROR", 1),
        ("REFUSED", 0),
    ]
    assert ede(replies[0]) == 20
    assert len(upstream.seen) == 1


async def test_a_cached_answer_is_judged_anew_for_each_profile_and_policy():
    """The cache holds what upstreams say, once for all; what follows is decided on every use."""
    listing = Listing("parents")
    profiles = (Profile("kids", ("192.168.1.0/24",)), Profile("adults", ("192.168.2.0/24",), frozenset()))
    policy = policy_of((listing, tree("cdn.example")), profiles=profiles)
    chain = "shop.example 60 IN CNAME cdn.example\ncdn.example 60 IN A 192.0.2.7"
    async with Upstream({("shop.example", "A"): chain}) as upstream:
        here = bench(upstream.address, policy=policy)
        answers = [len((await here.ask(query("shop.example"), client)).rr) for client in ("192.168.2.9", "192.168.1.9")]
        here.policies[0] = policy_of((listing, ()), profiles=profiles)
        answers.append(len((await here.ask(query("shop.example"), "192.168.1.9")).rr))
    assert answers == [2, 0, 2]
    assert len(upstream.seen) == 1


@pytest.mark.parametrize("client", ["203.0.113.9", "2001:db8::9", "not an address", ""])
async def test_who_is_not_served_is_told_so(client):
    """REFUSED with EDE 18 (Prohibited), for blocked and other names alike."""
    here = bench()
    for name in ("blocked.example", "fine.example"):
        reply = await here.ask(query(name), client)
        assert (RCODE[reply.header.rcode], ede(reply)) == ("REFUSED", 18)
    assert here.counts.events["dns_refused_client"] == 2
    assert here.counts.verdicts == []


async def test_a_stranger_costs_no_more_than_its_question():
    """It is refused from header and question; what follows is not read, however long it is."""
    here = bench()
    packet = bytes(query("fine.example").pack())
    for tail in (b"", b"\xff" * 60_000):
        reply = await answered(here.resolver, packet + tail, "203.0.113.9")
        assert reply is not None
        assert (reply[3] & 15, ede(DNSRecord.parse(reply))) == (RCODE.REFUSED, 18)
    assert here.counts.events["dns_malformed"] == 0


def test_whose_share_a_client_takes():
    """That of its address; who is not served, or in no profile, has none."""
    here = bench(policy=policy_of(profiles=(Profile("kids", ("192.168.1.0/24",)),)))
    assert here.resolver.sharer("::ffff:192.168.1.5") == "192.168.1.5"
    assert [here.resolver.sharer(item) for item in ("192.168.9.9", "203.0.113.9", "?")] == [None] * 3


async def test_a_client_without_a_profile_is_not_served():
    """Where profiles are configured, an address in none of them is a stranger."""
    here = bench(policy=policy_of(profiles=(Profile("kids", ("192.168.1.0/24",)),)))
    assert ede(await here.ask(query("fine.example"), "192.168.9.9")) == 18


@pytest.mark.parametrize("client", ["::ffff:192.168.1.5", "fe80::5%eth0", CLIENT])
async def test_a_client_is_known_in_every_spelling_of_its_address(client):
    """An IPv4 client on an IPv6 socket, and a link-local one with its zone, are who they are."""
    assert RCODE[(await bench().ask(query("blocked.example"), client)).header.rcode] == "NXDOMAIN"


async def test_a_list_that_failed_closed_is_told_apart():
    """SERVFAIL with EDE 14 (Not Ready), neither blocked nor let through."""
    here = bench(policy=policy_of((Listing("never", format=ListFormat.DOMAINS, on_failure=OnFailure.CLOSED), None)))
    reply = await here.ask(query("fine.example"))
    assert (RCODE[reply.header.rcode], ede(reply)) == ("SERVFAIL", 14)


@pytest.mark.parametrize(("labels", "blocked"), [
    ((b"www", b"b\xfccher", b"blocked", b"example"), True),  # not UTF-8
    ((b"a.b", b"blocked", b"example"), True),  # a dot within a label
    ((b"xn--0", b"blocked", b"example"), True),  # not punycode
    ((b"\x00 \xff", b"BLOCKED", b"example"), True),
    ((b"www.blocked", b"example"), False),  # one label, and no child of blocked.example
    ((b"x\xff", b"only", b"example"), False),  # that entry covers nothing below
    ((b"blocked", b"example", b"\xff"), False),
])  # fmt: skip
async def test_a_name_that_no_list_can_spell_is_judged_by_its_parent(labels, blocked):
    """Odd bytes in front of a listed domain do not lead around it; elsewhere they pass on as they are."""
    packet = bytearray(query("x").pack())
    wire = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    packet[12:15] = wire
    below = Below(failure(RCODE.SERVFAIL))
    reply = await answered(bench(rest=below).resolver, bytes(packet))
    assert reply is not None
    assert (reply[3] & 15 == RCODE.NXDOMAIN) is blocked
    assert [item.name for item in below.asked] == ([] if blocked else [wire])
    assert reply[12 : 12 + len(wire)] == wire


async def test_without_an_upstream_blocked_names_are_still_answered():
    """SERVFAIL with EDE 23 (Network Error) for the rest."""
    here = bench("127.0.0.1:9")
    reply = await here.ask(query("fine.example"))
    assert (RCODE[reply.header.rcode], ede(reply)) == ("SERVFAIL", 23)
    assert here.counts.events["dns_upstream_error"] == 1
    assert RCODE[(await here.ask(query("blocked.example"))).header.rcode] == "NXDOMAIN"


async def test_a_refusal_of_the_upstream_is_handed_on_as_such():
    """Its code is kept and counted; the reason is EDE 22 (No Reachable Authority), not our network."""
    async with Upstream({("fine.example", "A"): "REFUSED"}) as upstream:
        here = bench(upstream.address)
        for _ in range(2):
            reply = await here.ask(query("fine.example"))
            assert (RCODE[reply.header.rcode], ede(reply)) == ("REFUSED", 22)
    assert len(upstream.seen) == 1
    assert here.counts.events["dns_upstream_error"] == 2


async def test_one_client_leaves_room_for_the_others():
    """However many questions it has waiting, its share is the most that it holds."""
    async with Upstream({}, delay=0.15) as upstream:
        here = bench(upstream.address, max_inflight=16, timeout=timedelta(seconds=1))
        greedy = [here.ask(query(f"{number}.example")) for number in range(20)]
        *replies, other = await asyncio.gather(*greedy, here.ask(query("x.example"), "192.168.1.6"))
    assert sorted(RCODE[reply.header.rcode] for reply in replies) == ["NXDOMAIN"] * 2 + ["SERVFAIL"] * 18
    assert RCODE[other.header.rcode] == "NXDOMAIN"


async def test_more_questions_than_may_wait_are_answered_at_once():
    """SERVFAIL, counted as overload; blocked names go on."""
    async with Upstream({}, delay=0.15) as upstream:
        here = bench(upstream.address, max_inflight=2, timeout=timedelta(seconds=1))
        replies = await asyncio.gather(*(here.ask(query(f"{n}.example"), f"192.168.1.{n}") for n in range(5)))
        blocked = await here.ask(query("blocked.example"))
    assert sorted(RCODE[reply.header.rcode] for reply in replies) == ["NXDOMAIN"] * 2 + ["SERVFAIL"] * 3
    assert here.counts.events["dns_overload"] == 3
    assert RCODE[blocked.header.rcode] == "NXDOMAIN"


@pytest.mark.parametrize(("edns", "limit"), [(None, 512), (100, 512), (700, 700), (4096, 1232)])
async def test_an_answer_too_long_for_the_client_is_cut_over_udp_alone(edns, limit):
    """TC and nothing else over UDP, the whole over TCP."""
    lines = "\n".join(f'big.example 60 IN TXT "{number:050d}"' for number in range(40))
    async with Upstream({("big.example", "TXT"): lines}) as upstream:
        here = bench(upstream.address)
        packet = bytes(query("big.example", "TXT", edns=edns).pack())
        over_udp = await answered(here.resolver, packet)
        over_tcp = await answered(here.resolver, packet, tcp=True)
    assert over_udp is not None
    assert over_tcp is not None
    assert len(over_udp) <= limit < len(over_tcp)
    cut, whole = DNSRecord.parse(over_udp), DNSRecord.parse(over_tcp)
    assert (cut.header.tc, cut.rr, str(cut.q.qname)) == (1, [], "big.example.")
    assert (whole.header.tc, len(whole.rr)) == (0, 40)
    assert upstream.tcp_seen == 1


async def test_whatever_breaks_a_question_is_refused_and_not_let_through(caplog):
    """A fault of ours becomes SERVFAIL; the log names the kind of error and nothing of the question."""
    here = bench()
    here.policies[0] = None  # type: ignore[call-overload]
    reply = await here.ask(query("secret-name.example"))
    assert RCODE[reply.header.rcode] == "SERVFAIL"
    assert here.counts.events["dns_internal_error"] == 1
    assert "secret-name" not in caplog.text
    assert "AttributeError" in caplog.text


def optioned(name: str, *options: tuple[int, bytes], rtype: str = "A") -> bytes:
    """Return a question with options of EDNS."""
    asking = query(name, rtype, edns=None)
    asking.add_ar(EDNS0(udp_len=1232, opts=[EDNSOption(*item) for item in options]))
    return bytes(asking.pack())


def options(reply: bytes) -> dict[int, bytes]:
    return {item.code: bytes(item.data) for item in opt(DNSRecord.parse(reply)).rdata}


async def over(here: Bench, packet: bytes, way: Way) -> tuple[bytes, Template | None]:
    """Return the reply to a packet that came this way, and its template."""
    came: asyncio.Future[tuple[bytes, Template | None]] = asyncio.get_running_loop().create_future()

    def take(reply: bytes | None, template: Template | None) -> None:
        assert reply is not None
        came.set_result((reply, template))

    here.resolver.answer(packet, CLIENT, take, way)
    return await came


@pytest.mark.parametrize("way", [UDP, TCP])
@pytest.mark.parametrize(("name", "rtype", "rcode"), [
    ("fine.example", "A", 0), ("blocked.example", "A", 3), ("refused.example", "A", 5), ("fine.example", "AXFR", 5),
    ("fine.example", "ANY", 0), ("lost.example", "A", 2),
])  # fmt: skip
async def test_every_reply_to_a_cookie_brings_one(way, name, rtype, rcode):
    """Whatever else it says, over UDP and TCP; the client's part comes back, and one of ours is kept."""
    lost = failure(2, 22)
    found = A.format("fine.example")
    here = bench(rest=Below(lambda asked: lost if b"lost" in asked.labels else rooms.said(asked, found)))
    reply, _ = await over(here, optioned(name, (10, b"8 bytes."), rtype=rtype), way)
    cookie = options(reply)[10]
    assert (reply[3] & 15, len(cookie), cookie[:8]) == (rcode, 24, b"8 bytes.")
    again, _ = await over(here, optioned(name, (10, cookie), rtype=rtype), way)
    assert options(again)[10] == cookie


async def test_a_reply_that_is_too_long_with_its_cookie_is_cut():
    """What we add counts to what the client takes."""
    text = "\n".join(f'long.example 9 IN TXT "{"x" * 47}{number}"' for number in range(10, 29))
    here = bench(rest=Below(lambda asked: rooms.said(asked, text)))
    plain, _ = await over(here, bytes(query("long.example", "TXT").pack()), UDP)
    assert 1232 - 28 < len(plain) <= 1232
    with_one, _ = await over(here, optioned("long.example", (10, b"8 bytes."), rtype="TXT"), UDP)
    assert with_one[2] & 2
    assert len(options(with_one)[10]) == 24


@pytest.mark.parametrize("length", [0, 7, 9, 15, 41])
async def test_a_cookie_of_another_length_is_a_format_error(length):
    """RFC 7873, section 5.2.2."""
    here = bench(rest=Below(failure(2)))
    reply, _ = await over(here, optioned("fine.example", (10, bytes(length))), UDP)
    assert reply[3] & 15 == 1
    assert here.counts.events["dns_malformed"] == 1


async def test_of_several_cookies_the_first_counts():
    """RFC 7873, section 5.2."""
    here = bench(rest=Below(failure(2)))
    reply, _ = await over(here, optioned("blocked.example", (10, b"8 bytes."), (10, bytes(3))), UDP)
    assert options(reply)[10][:8] == b"8 bytes."


@pytest.mark.parametrize("way", [UDP, TCP])
async def test_a_question_for_everything_is_answered_with_little_and_forwarded_to_nobody(way):
    """RFC 8482; what is blocked is answered as blocked, and own records give nothing more."""
    below = Below(failure(2))
    here = bench(rest=below)
    for _ in range(2):
        reply, template = await over(here, bytes(query("fine.example", "ANY").pack()), way)
        (record,) = DNSRecord.parse(reply).rr
        assert (record.rtype, bytes(record.rdata.data), record.ttl) == (13, b"\7RFC8482\0", 3600)
        assert template is not None
    assert not below.asked
    reply = (await here.ask(query("blocked.example", "ANY"))).header.rcode
    assert RCODE[reply] == "NXDOMAIN"
    assert len(here.counts.verdicts) == 3


async def test_what_leads_past_us_is_denied_also_to_who_asks_for_everything():
    """RFC 8020: what has no records of one type, and nothing below, has none at all."""
    here = bench()
    for name in ("use-application-dns.net", "x.mask.icloud.com"):
        assert RCODE[(await here.ask(query(name, "ANY"))).header.rcode] == "NXDOMAIN"
    assert (await here.ask(query("icloud.com", "ANY"))).rr[0].rtype == 13


async def test_an_answer_to_everything_holds_no_longer_than_its_verdict():
    """Where an entry begins soon, nobody keeps it beyond that."""
    soon = [Entry(Kind.DOMAIN, "soon.example", Scope.TREE, not_before=NOW + timedelta(seconds=90))]
    here = bench(rest=Below(failure(2)), policy=policy_of((Listing("law"), soon)))
    assert (await here.ask(query("soon.example", "ANY"))).rr[0].ttl == 90


ENCRYPTED = Way(stream=True, encrypted=True)


@pytest.mark.parametrize(("way", "switch", "asks", "told"), [
    (ENCRYPTED, True, True, True), (ENCRYPTED, True, False, False), (ENCRYPTED, False, True, False),
    (TCP, True, True, False), (UDP, True, True, False),
])  # fmt: skip
async def test_who_blocks_is_told_to_those_who_ask_where_nobody_else_can_read_it(way, switch, asks, told):
    """Only encrypted, only where it is switched on, only to a client that sent an extended error; never which rule."""
    here = bench(rest=Below(failure(2)), encrypted={"structured_errors": switch})
    sent = [(15, b"\0\0")] if asks else [(8, b"\0\1\0\0")]
    reply, _ = await over(here, optioned("blocked.example", *sent), way)
    error = options(reply)[15]
    assert error[:2] == b"\0\x10"
    assert bool(error[2:]) is told
    if told:
        assert "j" in json.loads(error[2:])
        assert b"blocked" not in error[2:]


@pytest.mark.parametrize(("way", "pads", "padded"), [
    (ENCRYPTED, True, True), (ENCRYPTED, False, False), (TCP, True, False), (UDP, True, False),
])  # fmt: skip
@pytest.mark.parametrize("name", ["fine.example", "www.blocked.example"])
async def test_replies_are_padded_where_questions_are_and_nobody_else_can_read_them(way, pads, padded, name):
    """To multiples of 468 bytes (RFC 8467), the same reply otherwise."""
    here = bench(rest=Below(lambda asked: rooms.said(asked, A.format(name))))
    sent = [(12, bytes(20))] if pads else [(8, b"\0\1\0\0")]
    reply, _ = await over(here, optioned(name, *sent), way)
    plain, _ = await over(here, bytes(query(name).pack()), way)
    assert (len(reply) % 468 == 0) is padded
    assert set(options(reply)) - {15} == ({12} if padded else set())
    assert DNSRecord.parse(reply).rr == DNSRecord.parse(plain).rr
    again, template = await over(here, optioned(name, *sent), way)
    assert template is not None
    assert len(again) == len(reply)
    assert again[:2] + template.given(again[12 : 12 + len(name) + 6], here.clock())[1] == again
    assert (template.kin is None) is (padded or name == "fine.example")


async def test_each_block_is_told_of():
    """Who watches for enumeration hears who met which entry."""
    met: list[tuple[str, str]] = []
    here = bench(rest=Below(failure(2)))
    here.resolver._blocks = lambda client, match: met.append((client, match.expression))
    for name in ("a.blocked.example", "blocked.example", "fine.null.example"):
        await here.ask(query(name))
    assert [client for client, _ in met] == [CLIENT] * 3
    assert len({entry for _, entry in met}) == 2
