from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest
from dnslib import DNSRecord

from filterproxy.dns import answers
from filterproxy.dns.about import About
from filterproxy.dns.cache import LONGEST_TTL, Answer
from filterproxy.dns.chain import Chain
from filterproxy.dns.wire import Query, read_query
from filterproxy.settings.dns import Dns
from tests.dns.fakes import Counts, Upstream, query

A, PRIVATE = "{} 60 IN A 192.0.2.80", "{} 60 IN A 192.168.7.7"


async def asked(chain: Chain, name: str, rtype: str = "A") -> tuple[list[str], Answer]:
    """Return the data of all records that the chain answers with, and its answer."""
    question: Query = read_query(bytes(query(name, rtype).pack()))
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    chain.ask(question, future.set_result)
    answer = await asyncio.wait_for(future, 5)
    reply = DNSRecord.parse(answers.relayed(question, answer, 0, LONGEST_TTL))
    return [str(record.rdata) for record in reply.rr], answer


async def test_rooms_are_asked_in_their_order():
    """Own records before all; zones at their upstreams, who may name private addresses, as nobody else may."""
    names = ("fine.example", "home.example", "own.example", "www.corp.example", "lan.allowed.example")
    zone = {(name, "A"): (A if name == "fine.example" else PRIVATE).format(name) for name in names}
    async with (
        Upstream(zone) as everybody,
        Upstream({("www.corp.example", "A"): PRIVATE.format("www.corp.example")}) as own,
    ):
        counts = Counts()
        settings = Dns.model_validate({
            "upstreams": [everybody.address],
            "forward": [{"zone": "corp.example", "upstreams": [own.address]}],
            "records": [{"name": "own.example", "value": "10.1.2.3"}],
            "rebinding_allow": ["allowed.example"],
            "dns64": "64:ff9b::/96",
        })  # fmt: skip
        chain = Chain(settings, counts.event)
        assert (await asked(chain, "fine.example"))[0] == ["192.0.2.80"]
        assert (await asked(chain, "own.example"))[0] == ["10.1.2.3"]
        assert (await asked(chain, "www.corp.example"))[0] == ["192.168.7.7"]
        assert (await asked(chain, "lan.allowed.example"))[0] == ["192.168.7.7"]
        found, answer = await asked(chain, "home.example")
        assert (found, answer.ede, counts.events["dns_rebinding"]) == ([], 15, 1)
        made = str(ip_address(int(ip_address("64:ff9b::")) + int(ip_address("192.0.2.80"))))
        zone["fine.example", "AAAA"] = ""
        assert (await asked(chain, "fine.example", "AAAA"))[0] == [made]
        assert {str(item.q.qname).lower() for item in own.seen} == {"www.corp.example."}
        chain.close()


async def test_what_leads_past_us_is_denied_before_all_and_what_we_say_of_ourselves_nobody_else_says():
    """Also where a record, a zone or an upstream would answer; the profiles that may be chosen are among our names."""
    names = ("use-application-dns.net", "mask.icloud.com", "_dns.resolver.arpa")
    async with Upstream({(name, "A"): A.format(name) for name in names}) as everybody:
        settings = Dns.model_validate({
            "upstreams": [everybody.address],
            "forward": [{"zone": "icloud.com", "upstreams": [everybody.address]}],
            "records": [{"name": "use-application-dns.net", "value": "10.1.2.3"}],
            "encrypted": {
                "name": "dns.example", "dot": ["192.0.2.53:853"], "certificate": "/c.pem", "key": "/k.pem",
            },
        })  # fmt: skip
        chain = Chain(settings, Counts().event, About(profiles=("family",)))
        for name in names:
            assert (await asked(chain, name))[0] == []
        assert (await asked(chain, "dns.example"))[0] == ["192.0.2.53"]
        assert (await asked(chain, "family.dns.example"))[0] == ["192.0.2.53"]
        assert everybody.seen == []
        chain.close()


async def test_private_addresses_pass_where_nobody_minds():
    """A network whose upstream is its own says so."""
    async with Upstream({("home.example", "A"): PRIVATE.format("home.example")}) as upstream:
        chain = Chain(Dns(upstreams=(upstream.address,), rebinding=False), Counts().event)
        assert (await asked(chain, "home.example"))[0] == ["192.168.7.7"]
        chain.close()


@pytest.mark.parametrize("waiting", [0, 3])
async def test_closing_tells_all_who_wait_and_leaves_nothing_open(waiting):
    """With a failure, at once."""
    async with Upstream({}, delay=3) as upstream:
        chain = Chain(Dns(upstreams=(upstream.address,)), Counts().event)
        futures = [asyncio.ensure_future(asked(chain, f"n{number}.example")) for number in range(waiting)]
        await asyncio.sleep(0.05)
        chain.close()
        assert [answer.rcode for _, answer in await asyncio.gather(*futures)] == [2] * waiting
