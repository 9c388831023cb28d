"""Resolvers that a provider has already enforce a list of ours: four of them, each on a machine of its own.

They take the list as a zone, over TLS with TSIG, by the settings that docs/isp.md tells.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from tests.conftest import have
from tests.dns.upstreams.servers import Authority
from tests.integration.product import Product
from tests.integration.takes import certify

from .rpz_machines import ZONE, Machine, Trust
from .rpz_network import EDGE, Network, authority, network, process, sign, until

pytestmark = [
    have("named", "bind9"), have("unbound", "unbound"), have("pdns_recursor", "pdns-recursor"),
    have("kresd", "knot-resolver"), have("dnssec-signzone", "bind9-utils"), have("ip", "iproute2"),
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
]  # fmt: skip

RESOLVERS = {"bind": "10.30.0.2", "unbound": "10.30.0.3", "recursor": "10.30.0.4", "knot": "10.30.0.5"}
LIST = """
||bad.example^
|only.example^
||*.below.example^
||held.example^
@@||spared.held.example^
||bad.signed.example^
|only.signed.example^
"""
ANSWERS = {
    "bad.example": "NXDOMAIN", "www.bad.example": "NXDOMAIN", "a.b.bad.example": "NXDOMAIN",
    "notbad.example": "there", "badly.example": "there",
    "only.example": "NODATA", "www.only.example": "there",
    "below.example": "there", "www.below.example": "NXDOMAIN",
    "held.example": "NODATA", "www.held.example": "NXDOMAIN", "spared.held.example": "there",
    "new.example": "there", "www.new.example": "there",
}  # fmt: skip
SIGNED = {
    "bad.signed.example": "NXDOMAIN", "www.bad.signed.example": "NXDOMAIN", "only.signed.example": "NODATA",
    "www.only.signed.example": "there", "www.signed.example": "there", "new.signed.example": "there",
}  # fmt: skip
"""In a signed zone, asked with DO; what is there is proven."""


class Provider:
    """The network, with everything in it running."""

    def __init__(self, folder: Path, wires: Network) -> None:
        """Write all files."""
        self.wires, self.folder, self.product = wires, folder, Product(folder)
        self.list = folder / "open.adblock"
        self.list.write_text(LIST)
        vouches = Authority(folder)
        certify(folder, vouches)
        self.trust = Trust(*sign(folder), vouches.ca)
        self.machines = [self._machine(name, address) for name, address in RESOLVERS.items()]
        text = self.product.config.read_text().replace(
            f'upstreams = ["127.0.0.1:{self.product.upstream}"]', f'upstreams = ["{EDGE}:53"]'
        )
        self.product.config.write_text(text + self._settings())

    def _machine(self, name: str, address: str) -> Machine:
        place = self.folder / name
        place.mkdir()
        secret = base64.b64encode(os.urandom(32)).decode()
        (self.folder / f"{name}.tsig").write_text(secret)
        (self.folder / f"{name}.tsig").chmod(0o600)
        return Machine(name, address, place, secret)

    def _settings(self) -> str:
        found = f"""
[inspection]
enabled = false
[[lists]]
id = "open"
source = "{self.list}"
format = "adblock"
rpz = true
[dns.transfer]
listen = ["{EDGE}:853"]
zone = "rpz.example"
certificate = "{self.folder}/transfer.pem"
key = "{self.folder}/transfer.pem"
"""
        for item in self.machines:
            found += f"""
[[dns.transfer.receivers]]
id = "{item.id}"
networks = ["{item.address}/32"]
key_name = "{item.id}.example"
secret = "{self.folder}/{item.id}.tsig"
notify = ["{item.notified}"]
"""
        return found

    def start(self, stack: ExitStack) -> None:
        """Start the product, who answers for all names, and the resolvers; wait until each enforces the list."""
        within = self.wires.within(EDGE)
        stack.enter_context(process([*within, *authority(self.folder)], self.folder / "authority.log"))
        stack.callback(self.product.kill)
        self.product.start(within=within)
        for item in self.machines:
            self._run(stack, item, item.programs(self.trust)[0])
        for item in self.machines:
            taken = item.folder / f"{ZONE}.db"
            until(taken.exists, 40, partial(self.logs, item.id))
            for command in item.programs(self.trust)[1:]:
                self._run(stack, item, command)

    def _run(self, stack: ExitStack, machine: Machine, command: list[str]) -> None:
        log = machine.folder / f"{Path(command[0]).name}.log"
        stack.enter_context(process([*self.wires.within(machine.address), *command], log))

    def asked(self, machine: str, name: str, *, proven: bool = False, timeout: float = 5.0) -> str:
        """Return what a resolver says of a name's address: `there`, NODATA, or its code; `silence` after that long."""
        query = dns.message.make_query(name, "A", want_dnssec=proven)
        try:
            reply = dns.query.udp(query, RESOLVERS[machine], timeout, sock=self.wires.client, ignore_errors=True)
        except dns.exception.Timeout:
            return "silence"
        if proven and reply.rcode() == dns.rcode.NOERROR and reply.answer:
            kinds = {item.rdtype for item in reply.answer}
            ad = reply.flags & dns.flags.AD
            return "there" if ad and dns.rdatatype.RRSIG in kinds else f"unproven {reply.answer}"
        if reply.rcode() != dns.rcode.NOERROR:
            return dns.rcode.to_text(reply.rcode())
        return "there" if reply.answer else "NODATA"

    def blocks(self, machine: str) -> bool:
        """Tell whether a resolver enforces the list."""
        return self.asked(machine, "bad.example", timeout=1) == "NXDOMAIN"

    def seen(self, machine: str, names: Iterable[str]) -> dict[str, str]:
        """Return what a resolver says of each name, where it must prove that if it is in a signed zone."""
        return {name: self.asked(machine, name, proven=name.endswith(".signed.example")) for name in names}

    def change(self, text: str, wanted: dict[str, str]) -> dict[str, float]:
        """Change the list, and return after how many seconds each resolver says what is `wanted`."""
        begun, took = time.monotonic(), dict[str, float]()
        self.list.write_text(text)
        self.product.ask(do="refresh")
        while waiting := [name for name in RESOLVERS if name not in took]:
            for machine in waiting:
                if self.seen(machine, wanted) == wanted:
                    took[machine] = time.monotonic() - begun
            assert time.monotonic() - begun < 20, f"{waiting}: {self.logs(waiting[0])}"
            time.sleep(0.02)
        return took

    def logs(self, machine: str) -> str:
        """Return what the machine's programs, and the product, have said."""
        found = [*sorted((self.folder / machine).glob("*.log")), self.product.log]
        return "\n".join(f"--- {path}\n{path.read_text()[-6000:]}" for path in found)


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    folder = tmp_path_factory.mktemp("rpz")
    with ExitStack() as stack:
        made = Provider(folder, stack.enter_context(network(EDGE, *RESOLVERS.values())))
        made.start(stack)
        for machine in RESOLVERS:
            until(partial(made.blocks, machine), 40, partial(made.logs, machine))
        yield made


@pytest.mark.parametrize("machine", RESOLVERS)
def test_a_resolver_enforces_the_list(provider, machine):
    """Names, what is below them, and neither alone; neighbours and exceptions stay as they are."""
    assert provider.seen(machine, ANSWERS) == ANSWERS


@pytest.mark.parametrize("machine", RESOLVERS)
def test_a_resolver_enforces_the_list_in_signed_zones(provider, machine):
    """Also for who asks for signatures; what is not listed keeps them."""
    assert provider.seen(machine, SIGNED) == SIGNED


def test_a_name_that_leads_to_a_listed_one(provider):
    """It is as blocked as that, but for Knot Resolver, whose policies see the name that is asked for alone."""
    found = {machine: provider.asked(machine, "leads.example") for machine in RESOLVERS}
    assert found == dict.fromkeys(RESOLVERS, "NXDOMAIN") | {"knot": "there"}


def test_resolvers_follow_changes_within_five_seconds(provider):
    """What is new is blocked although it was in their caches, what has gone is there again; and so the next time."""
    changed = LIST.replace("|only.example^", "||new.example^\n|new.signed.example^")
    before = {"only.example": "NODATA", "www.new.example": "there", "new.signed.example": "there"}
    after = {"only.example": "there", "www.new.example": "NXDOMAIN", "new.signed.example": "NODATA"}
    assert {name: provider.seen(name, before) for name in RESOLVERS} == dict.fromkeys(RESOLVERS, before)
    for text, wanted in ((changed, after), (LIST, before)):
        took = provider.change(text, wanted)
        assert max(took.values()) < 5, took
