"""What a reading of a list found on domains of ours: each once, and nothing of what is confidential."""

from __future__ import annotations

import pytest

from filterproxy.alerts import Hits, Owned
from filterproxy.alerts.hits import MOST
from filterproxy.core.model import Action, BadLine, Entry, Kind, Listing, Scope

OWNED, KEY = Owned(["shop.example"]), bytes(32)
PAGE = Entry(Kind.URL, "shop.example/mark-of-the-page", Scope.PAGE, line=17, reference="R-9")
OTHER = Entry(Kind.URL, "other.example/", Scope.PAGE)
OPEN, CONFIDENTIAL = Listing("court"), Listing("hotline", confidential=True)


def read(listing, *items, owned=OWNED, key=KEY):
    hits = Hits(owned, listing, key)
    assert tuple(hits.watch(items)) == items
    return hits.alerts()


def test_a_hit_is_an_alert_that_names_our_domain():
    """With what the provider needs to be asked about it; the entry itself only of an open list."""
    (alert,) = read(OPEN, OTHER, BadLine(2, "no"), PAGE)
    assert (alert.kind, alert.list_id) == ("domain", "court")
    assert alert.facts == {
        "domain": "shop.example", "match": "url", "scope": "page", "line": 17, "reference": "R-9", "value": PAGE.value,
    }  # fmt: skip
    assert alert.text == "List court has a url (page) that falls on shop.example, reference R-9."


@pytest.mark.parametrize("entry", [
    PAGE, Entry(Kind.PATTERN, r"^mark-of-the-page\.shop\.example$", Scope.HOST),
    Entry(Kind.DOMAIN, "mark-of-the-page.shop.example", Scope.EXACT),
])  # fmt: skip
def test_nothing_of_a_confidential_entry_is_in_its_alert(entry):
    """Neither as it stands, nor in what tells alerts apart."""
    (alert,) = read(CONFIDENTIAL, entry)
    told = f"{alert!r} {alert.text} {dict(alert.facts)} {alert.identity} {alert.key}"
    assert "mark" not in told
    assert "value" not in alert.facts


def test_the_same_entry_is_the_same_alert_wherever_it_stands():
    """A list that was sorted anew tells nothing new; another entry does, and so does another installation's key."""
    (alert,), (moved,) = read(CONFIDENTIAL, PAGE), read(CONFIDENTIAL, PAGE._replace(line=99))
    (other,) = read(CONFIDENTIAL, PAGE._replace(value="shop.example/other"))
    (elsewhere,) = read(CONFIDENTIAL, PAGE, key=bytes([1] * 32))
    assert alert.key == moved.key
    assert len({alert.key, other.key, elsewhere.key}) == 3


def test_what_allows_hits_nobody():
    """An exception, and a list that allows."""
    assert read(OPEN, PAGE._replace(action=Action.ALLOW)) == ()
    assert read(Listing("own", action=Action.ALLOW), PAGE) == ()


def test_nobody_owns_nothing():
    """Without domains a reading is passed on as it is."""
    assert read(OPEN, PAGE, owned=Owned([])) == ()


def test_a_thousand_hits_are_kept_and_the_rest_is_counted():
    """Whatever a list holds, memory is bounded; the number of the rest is told, and again when it has doubled."""
    entries = [PAGE._replace(value=f"shop.example/{number}") for number in range(MOST + 300)]
    alerts = read(OPEN, *entries)
    assert len(alerts) == MOST + 1
    assert alerts[-1].facts == {"more": 300}
    assert alerts[-1].key == read(OPEN, *entries[:-1])[-1].key
    assert alerts[-1].key != read(OPEN, *entries[: MOST + 100])[-1].key
