"""What is told of lists: how far they are enforced here, and how they stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from filterproxy.core.bundle import Shares
from filterproxy.core.model import Https, Listing
from filterproxy.lists.publish import Manifest, Status
from filterproxy.runtime.record import Enforced, enforced, internal, public, stale
from filterproxy.settings import load_text
from tests.policies import build, table

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SHARES = Shares(domains=10, urls=20, plain_urls=5, terms=4)


@pytest.mark.parametrize(("text", "https", "expected"), [
    ("", Https.PASS, Enforced(15, 0, 19)),
    ("", Https.INSPECT, Enforced(30, 0, 4)),
    ("", Https.BLOCK_HOST, Enforced(15, 15, 4)),
    ('[inspection]\ntls = "all"', Https.PASS, Enforced(34, 0, 0)),
    ('[inspection]\ntls = "none"', Https.INSPECT, Enforced(15, 0, 19)),
    ("[inspection]\nenabled = false", Https.INSPECT, Enforced(15, 0, 19)),
    ("[inspection]\nenabled = false", Https.BLOCK_HOST, Enforced(15, 15, 4)),
    ("[inspection]\nenabled = false\n[dns]\nenabled = false", Https.PASS, Enforced(15, 0, 19)),
    ("[gateway]\nenabled = false", Https.INSPECT, Enforced(10, 0, 24)),
    ("[gateway]\nenabled = false", Https.BLOCK_HOST, Enforced(10, 20, 4)),
    ("[gateway]\nenabled = false\n[dns]\nenabled = false", Https.PASS, Enforced(0, 0, 34)),
])  # fmt: skip
def test_what_a_deployment_enforces_follows_from_what_it_sees(text, https, expected):
    """A URL is enforced exactly where it is seen whole, by host only where its list says so, else not at all."""
    assert enforced(Listing("x", https=https), SHARES, load_text(text)) == expected


def test_percentages_are_whole_and_an_empty_list_has_none():
    """No division by nought, no digit that would tell a size."""
    assert [Enforced(1, 1, 1).percent(1), Enforced(0, 0, 0).percent(0)] == [33, 0]


def test_a_list_is_stale_when_it_never_loaded_or_is_too_old():
    """At its max_age, not a second later."""
    listing = Listing("x", max_age=timedelta(hours=1))
    assert stale(listing, None, NOW)
    assert stale(listing, NOW - timedelta(hours=1), NOW)
    assert not stale(listing, NOW - timedelta(minutes=59), NOW)
    assert not stale(Listing("x"), NOW - timedelta(days=900), NOW)


def test_the_public_record_is_rounded_and_the_internal_one_exact():
    """Operators see numbers and reasons; the public sees rounded sizes and percents, also of what never loaded."""
    large, absent = table("large"), table("absent")
    policy = build({large: [f"n{number}.example" for number in range(1234)], absent: None}, loaded_at=NOW)
    told = public(policy, load_text(""), NOW).lists
    assert [(item.id, item.entries_rounded, item.exact, item.stale) for item in told] == [
        ("large", 1200, 100, False), ("absent", None, 0, True),
    ]  # fmt: skip
    status = Status("absent", "never", "no entry in it", NOW.isoformat(), 3)
    settings = load_text("").model_copy(update={"lists": (large, absent)})
    first, second = internal(policy, settings, Manifest(1, (), (status,)), NOW)
    assert (first["entries"], first["exact"], first["loaded_at"]) == (1234, 1234, NOW.timestamp())
    assert (second["state"], second["reason"], second["refused"], second["stale"]) == (
        "never",
        "no entry in it",
        3,
        True,
    )
