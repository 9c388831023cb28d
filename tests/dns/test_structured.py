"""What is told of a block: who to turn to, on what ground, and nothing that tells which rule it was."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import Basis, Listing
from filterproxy.dns.structured import LONGEST, text
from filterproxy.settings.tables import Operator

PORTAL = "https://notice.example"
ANY_TEXT = st.text(st.characters(codec=None), max_size=300)


def listing(category: str = "Gambling", basis: Basis = Basis.VOLUNTARY, ede: int = 15, appeal: str = "") -> Listing:
    return Listing("the-id", "The title", "The authority", category, basis=basis, ede=ede, appeal=appeal)


def operator(name: str = "Example Net", contact: str = "") -> Operator:
    return Operator.model_construct(name=name, contact=contact)


def told(item: Listing, who: Operator, portal: str = PORTAL) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(item, who, portal))
    return found


def test_it_is_the_shortest_json_that_names_who_blocks_and_who_hears_of_it():
    """Contacts from the nearest to the farthest, the ground, the sub-error for a network's policy, the operator."""
    item = listing(appeal="https://hotline.example/appeals")
    assert text(item, operator(contact="help@net.example"), PORTAL).decode() == (
        '{"c":["mailto:help@net.example","https://notice.example/appeal","https://hotline.example/appeals"],'
        '"j":"Gambling: policy of this network","s":5,"o":"Example Net"}'
    )


@pytest.mark.parametrize(("category", "basis", "ede", "reason", "suberror"), [
    ("Gambling", Basis.VOLUNTARY, 15, "Gambling: policy of this network", 5),
    ("", Basis.VOLUNTARY, 15, "policy of this network", 5),
    ("Child abuse", Basis.LAW, 16, "Child abuse: demanded by law", None),
    ("", Basis.COURT, 16, "demanded by a court", None),
    ("Ads", Basis.SUBSCRIBER, 17, "Ads: chosen by the subscriber", None),
    ("Malware", Basis.VOLUNTARY, 15, "Malware: policy of this network", 1),
    ("phishing ", Basis.SUBSCRIBER, 17, "phishing: chosen by the subscriber", 2),
    ("malware", Basis.LAW, 16, "malware: demanded by law", None),
])  # fmt: skip
def test_the_sub_error_is_one_that_goes_with_the_code(category, basis, ede, reason, suberror):
    """None goes with 16, and a network's policy with 15 alone."""
    said = told(listing(category, basis, ede), operator())
    assert (said["j"], said.get("s")) == (reason, suberror)


@pytest.mark.parametrize(("contact", "uri"), [
    ("help@net.example", "mailto:help@net.example"),
    ("a?b&c%@net.example", "mailto:a%3Fb%26c%25@net.example"),
    ("+44 (20) 7946 0000", "tel:+44-20-7946-0000"),
    ("0800 1111", "tel:0800-1111"),
    ("https://net.example/help", "https://net.example/help"),
    ("javascript:alert(1)", None),
    ("ask at the desk", None),
    ("help@net.example, other@net.example", None),
    ("https://net.example/\u202e", None),
    ("https://net.example/" + "a" * 200, None),
    ("", None),
])  # fmt: skip
def test_a_contact_is_an_address_that_software_can_open(contact, uri):
    """Mail, telephone or a web page; all else is left out."""
    said = told(listing(), operator(contact=contact), "")
    assert said.get("c") == (None if uri is None else [uri])


def test_the_farthest_contacts_give_way_where_it_grows_too_long():
    """The operator's form stays rather than the address of the list's owner."""
    item = listing("c" * 100, appeal="https://hotline.example/" + "a" * 100)
    said = told(item, operator("o" * 120, "help@net.example"), "https://notice.example/" + "p" * 60)
    assert said["c"] == ["mailto:help@net.example", "https://notice.example/" + "p" * 60 + "/appeal"]
    assert (said["o"], said["j"]) == ("o" * 80, "c" * 80 + ": policy of this network")


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT, st.sampled_from(Basis), st.sampled_from((15, 16, 17)))
def test_it_is_bounded_json_without_control_characters(category, name, contact, appeal, portal, basis, ede):
    """Whatever an operator wrote: UTF-8, an object, at most LONGEST bytes, no empty value, nothing that is no text."""
    packed = text(listing(category, basis, ede, appeal), operator(name, contact), portal)
    said = json.loads(packed.decode())
    assert len(packed) <= LONGEST
    assert all(unicodedata.category(item) not in ("Cc", "Cs", "Cn") for item in packed.decode())
    assert set(said) <= set("cjso")
    assert all(said.values())
    assert said["j"] == unicodedata.normalize("NFC", said["j"])
    assert all(uri.partition(":")[0].lower() in ("mailto", "tel", "http", "https") for uri in said.get("c", ()))


@given(st.builds(Listing, id=st.just("id-of-it"), title=st.just("Title of it"), authority=st.just("Owner of it")))
def test_neither_the_list_nor_a_rule_is_named(item):
    """Who blocks is told, not by what."""
    packed = text(item, operator(), PORTAL)
    assert not any(word in packed for word in (b"id-of-it", b"Title of it", b"Owner of it"))
