"""Lists that we did not invent: read where they are there, deselected where not. Nothing of them is kept here."""

from __future__ import annotations

import random
import time

import pytest

from filterproxy.core.decide import decide
from filterproxy.core.model import Action, BadLine, Connection, Entry, ListFormat, Request
from filterproxy.core.names import host, is_address, suffixes
from filterproxy.core.urls import canonical
from filterproxy.lists import sources
from filterproxy.lists.formats import PARSERS, Options
from tests.policies import NOW, build, table

pytestmark = pytest.mark.samples

CATEGORIES = (
    "bank",
    "child",
    "doh",
    "games",
    "press",
    "radio",
    "shortener",
    "social_networks",
    "sports",
    "translation",
)


def read(folder, name, form):
    """Return the entries and the bad lines of a public file."""
    found = list(PARSERS[form](sources.lines(folder / name), Options()))
    return [item for item in found if isinstance(item, Entry)], [item for item in found if isinstance(item, BadLine)]


@pytest.mark.parametrize("category", CATEGORIES)
def test_public_domains_are_understood_and_block_exactly_themselves(samples, category):
    """Nearly every line is an entry; each blocks its name and what is below it, and not its neighbour."""
    entries, bad = read(samples / "ut1" / category, "domains", ListFormat.DOMAINS)
    assert len(bad) <= max(3, len(entries) // 100), bad[:5]
    policy = build({table("public"): [entry.value for entry in entries]})
    listed = {entry.value for entry in entries}
    for entry in random.Random(3).sample(entries, min(300, len(entries))):
        assert decide(Connection("default", entry.value), policy, NOW).blocked
        if not is_address(entry.value):
            assert decide(Connection("default", f"www.{entry.value}"), policy, NOW).blocked
            neighbour = f"not{entry.value}"
            if listed.isdisjoint(suffixes(neighbour)):
                assert not decide(Connection("default", neighbour), policy, NOW).blocked


@pytest.mark.parametrize("category", ["games", "radio", "translation"])
def test_public_urls_are_pages_and_leave_their_hosts_alone(samples, category):
    """A listed page is blocked with any query, also over https; another page of the host is not."""
    entries, bad = read(samples / "ut1" / category, "urls", ListFormat.URLS)
    assert not bad
    policy = build({table("public", "urls"): [entry.value for entry in entries]})
    for entry in random.Random(5).sample(entries, min(300, len(entries))):
        spelled = canonical(f"https://{entry.value}")
        assert spelled is not None
        assert decide(Request("default", "GET", spelled), policy, NOW).blocked
        other = canonical(f"https://{spelled.host}/not/listed/at/all")
        assert other is not None
        assert decide(Request("default", "GET", other), policy, NOW).action is Action.ALLOW
        assert decide(Connection("default", spelled.host), policy, NOW).action is Action.ALLOW


def test_a_dump_of_urls_with_its_comments_is_a_url_list(samples):
    """A published dump is read as it is, comment lines and all."""
    entries, _ = read(samples / "urlhaus", "text.txt", ListFormat.URLS)
    assert entries
    assert all(
        host(entry.value.partition("/")[0].partition(":")[0]) for entry in entries if not entry.value.startswith("[")
    )


def test_all_public_domains_together_load_within_seconds(samples):
    """Fifty thousand names are one list of a second or two, not of a minute."""
    names = [line for category in CATEGORIES for line in (samples / "ut1" / category / "domains").read_text().split()]
    begun = time.monotonic()
    policy = build({table("public"): [name for name in dict.fromkeys(names) if "." in name and host(name)]})
    assert time.monotonic() - begun < 30
    assert decide(Connection("default", "nothing.example"), policy, NOW).action is Action.ALLOW
