"""One table of cases, asked of the DNS filter, of the proxy with its addon, and of `filterproxy check`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from dnslib import RCODE

from filterproxy.cli.check import _json_line, judging
from filterproxy.core.model import Entry, Kind, Scope
from filterproxy.core.policy import Policy
from tests.dns.fakes import Bench, Upstream, bench, ede, query
from tests.inspection.world import NAMES, World, world
from tests.policies import NOW, build, override, table

POLICY = build(
    {
        table("law", "urls", mandatory=True, basis="law", https="inspect"): [
            "looked.example/listed",
            "both.example/listed",
        ],
        table("sites", "domains"): [
            "site.example",
            "*.below.example",
            "spared.example",
            "kept.example",
            "overridden.example",
        ],
        table("pages", "urls"): ["pages.example/a", "pages.example/b?x=1"],
        table("hosts", "urls", https="block-host"): ["hosted.example/listed"],
        table("good", "domains", action="allow"): ["spared.example", "both.example"],
        table("words", "keywords", action="block"): ["gadget"],
    },
    [{"id": "all", "networks": ["127.0.0.0/8", "192.168.0.0/16"], "deny": ["own.example"], "allow": ["kept.example"]}],
    [override("sites", Entry(Kind.DOMAIN, "overridden.example", Scope.EXACT))],
)


@dataclass(frozen=True)
class Case:
    """A URL, and whether the name, the tunnel's host and the page are blocked."""

    url: str
    name: bool
    host: bool
    page: bool

    @property
    def hostname(self) -> str:
        return self.url.partition("/")[0]


CASES = [
    Case("free.example/any", name=False, host=False, page=False),
    Case("site.example/any", name=True, host=True, page=True),
    Case("SITE.example./any", name=True, host=True, page=True),
    Case("sub.site.example/any", name=True, host=True, page=True),
    Case("notsite.example/any", name=False, host=False, page=False),
    Case("below.example/", name=False, host=False, page=False),
    Case("under.below.example/", name=True, host=True, page=True),
    Case("pages.example/a", name=False, host=False, page=True),
    Case("pages.example/%61?any#f", name=False, host=False, page=True),
    Case("pages.example/x/../a", name=False, host=False, page=True),
    Case("pages.example/ab", name=False, host=False, page=False),
    Case("pages.example/b", name=False, host=False, page=False),
    Case("pages.example/b?x=1", name=False, host=False, page=True),
    Case("hosted.example/listed", name=True, host=True, page=True),
    Case("hosted.example/other", name=True, host=True, page=False),
    Case("looked.example/listed", name=False, host=False, page=True),
    Case("looked.example/other", name=False, host=False, page=False),
    Case("spared.example/", name=False, host=False, page=False),
    Case("both.example/listed", name=False, host=False, page=True),
    Case("own.example/", name=True, host=True, page=True),
    Case("kept.example/", name=False, host=False, page=False),
    Case("overridden.example/", name=False, host=False, page=False),
    Case("words.example/some-gadget", name=False, host=False, page=True),
    Case("free.example/?next=http://site.example/", name=False, host=False, page=False),
]

HOSTS = sorted({case.hostname.lower().rstrip(".") for case in CASES})


@pytest_asyncio.fixture
async def proxy(tmp_path: Path, free_port: int) -> Any:
    """An inspector under the table's policy, before an origin that answers for every host of it."""
    answers = dict.fromkeys((*NAMES, *HOSTS), "127.0.0.1")
    async with world(tmp_path, free_port, policy=POLICY, answers=answers) as found:
        yield found


async def dns_blocks(asked: Bench, case: Case) -> bool:
    """Ask the DNS filter; a blocked answer carries an extended error, another the upstream's address."""
    reply = await asked.ask(query(case.hostname.rstrip(".")), client="192.168.1.5")
    assert (ede(reply) is not None) is (not reply.rr), case
    assert reply.header.rcode in {RCODE.NOERROR, RCODE.NXDOMAIN}
    return not reply.rr


def check_blocks(policy: Policy, target: str) -> bool:
    """Ask `check --json`."""
    judge = judging(policy, "all", NOW)
    return bool(json.loads(_json_line(target, *judge(target)))["action"] == "block")


async def proxy_blocks(found: World, case: Case) -> tuple[bool, bool]:
    """Ask the proxy for a tunnel to the host, then for the page; what is not refused comes from the origin."""
    port = found.origin.port
    host, slash, rest = case.url.partition("/")
    before = len(found.origin.heads)
    page = await found.get(f"http://{host}:{port}{slash}{rest}")
    assert (page.status == 200) is (len(found.origin.heads) == before + 1), case
    wire, tunnel = await found.tunnel(host.rstrip(".").lower())
    await wire.close()
    return tunnel.status != 200, page.status != 200


@pytest.mark.asyncio
async def test_dns_proxy_and_check_answer_alike(proxy):
    """The three frontends translate; the decision is one. Each case's name, tunnel and page get the same from all."""
    upstream = Upstream({(name, "A"): f"{name}. 60 IN A 192.0.2.1" for name in HOSTS})
    async with upstream:
        asked = bench(upstream.address, policy=POLICY)
        for case in CASES:
            assert check_blocks(POLICY, f"http://{case.url}") is case.page, case
            assert check_blocks(POLICY, case.hostname) is case.host, case
            assert await dns_blocks(asked, case) is case.name, case
            assert await proxy_blocks(proxy, case) == (case.host, case.page), case
