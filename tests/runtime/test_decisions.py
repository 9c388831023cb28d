"""Deciding an appeal: what is spared, who must agree, and in which order things happen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from filterproxy.core.appeals import State
from filterproxy.core.decide import decide
from filterproxy.core.model import Action, Entry, Https, Kind, ListFormat, Listing, Scope
from filterproxy.core.policy import Policy
from filterproxy.errors import MoveError
from filterproxy.lists import publish
from filterproxy.lists.compile import compile_segment
from filterproxy.lists.refresh import compile_overrides
from filterproxy.runtime.decisions import Decision, blocking, carry_out, entry_to_spare, subject_of
from filterproxy.settings import load_text
from filterproxy.store import Store

KEY = bytes(32)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SETTINGS = load_text("""
[[lists]]
id = "urls"
source = "x"
format = "urls"
[[lists]]
id = "names"
source = "x"
format = "domains"
[[lists]]
id = "law"
source = "x"
format = "urls"
basis = "law"
mandatory = true
[[lists]]
id = "words"
source = "x"
format = "keywords"
action = "block"
[[lists]]
id = "hosts"
source = "x"
format = "urls"
https = "block-host"
""")
ENTRIES = {
    "urls": [
        Entry(Kind.URL, "a.example/dir/", Scope.PREFIX),
        Entry(Kind.URL, "a.example/page", Scope.PAGE),
        Entry(Kind.URL, "both.example/x", Scope.PAGE),
        Entry(Kind.URL, "a.example:8080/view?id=1", Scope.EXACT),
    ],
    "names": [Entry(Kind.DOMAIN, "n.example", Scope.TREE)],
    "law": [Entry(Kind.URL, "l.example/x", Scope.PAGE), Entry(Kind.URL, "both.example/x", Scope.PAGE)],
    "words": [Entry(Kind.KEYWORD, "zyxwort", Scope.WORD)],
    "hosts": [Entry(Kind.URL, "h.example/x", Scope.PAGE, scheme="https")],
}


class World:
    """A store, and a policy that follows its overrides once they are put in force."""

    def __init__(self, folder) -> None:
        self.store = Store.open(f"sqlite:///{folder}/db", bytes(32))
        self.published = 0
        self._build()

    def policy(self) -> Policy:
        return self._policy

    def put_in_force(self) -> None:
        self.published += 1
        self._build()

    def _build(self) -> None:
        listings = {item.id: item for item in SETTINGS.listings}
        made = [compile_segment(f"list:{name}", entries, KEY, listings[name]) for name, entries in ENTRIES.items()]
        made += compile_overrides(self.store.overrides(NOW), SETTINGS, KEY)
        self._policy = publish.policy_of(SETTINGS, [item.segment() for item in made], KEY, self.published, {})

    def file(self, subject: str) -> str:
        return self.store.file_appeal(subject, NOW).receipt

    def decide(self, receipt: str, outcome: str = "grant", by: str = "ada", **more):
        return carry_out(Decision(receipt, outcome, by, **more), self.store, self.policy, self.put_in_force, NOW)

    def blocked(self, text: str) -> bool:
        subject = subject_of(text)
        assert subject is not None
        return decide(subject, self.policy(), NOW).blocked


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.store.close()


@pytest.mark.parametrize(("subject", "still"), [
    ("http://a.example/page", "http://a.example/dir/one"),
    ("http://a.example/dir/one", "http://a.example/dir/two"),
    ("http://a.example/dir/", "http://a.example/dir/two"),
    ("http://a.example:8080/view?id=1", "http://a.example/page"),
    ("n.example", "x.n.example"),
    ("x.n.example", "n.example"),
    ("http://x.n.example/any", "http://y.n.example/any"),
    ("http://w.example/zyxwort", "http://w.example/other/zyxwort"),
    ("h.example", "x.n.example"),
    ("https://h.example/not-listed", "x.n.example"),
])  # fmt: skip
def test_what_was_asked_for_is_spared_and_nothing_beside_it(world, subject, still):
    """A page under a listed folder, a host under a listed domain, a page with a listed word: each alone."""
    assert world.blocked(subject)
    assert world.blocked(still)
    outcome = world.decide(world.file(subject))
    assert outcome.state is State.GRANTED
    assert not world.blocked(subject)
    assert world.blocked(still)


def test_a_mandatory_list_needs_a_reference_and_two_people(world):
    """Nothing is in force before the second person; then the appeal is granted."""
    receipt = world.file("http://l.example/x")
    with pytest.raises(MoveError, match="reference"):
        world.decide(receipt)
    first = world.decide(receipt, reference="AZ 1/26")
    assert (first.state, first.waits_for, world.published) == (State.TRIAGED, 1, 0)
    with pytest.raises(MoveError):
        world.decide(receipt, by=" ADA ", reference="AZ 1/26")
    assert world.blocked("http://l.example/x")
    second = world.decide(receipt, by="grace")
    assert (second.state, second.waits_for) == (State.GRANTED, 0)
    assert not world.blocked("http://l.example/x")


def test_a_mandatory_list_beside_another_leaves_nothing_half_done(world):
    """Without the reference that one of two lists needs, no override of the other is kept either."""
    receipt = world.file("http://both.example/x")
    with pytest.raises(MoveError, match="law is mandatory"):
        world.decide(receipt)
    assert world.store.override_rows() == []
    outcome = world.decide(receipt, reference="AZ 1/26")
    assert {row.list_id for row in outcome.overrides} == {"urls", "law"}
    assert outcome.waits_for == 1


@pytest.mark.parametrize("outcome", ["reject", "withdraw", "forward"])
def test_a_grant_that_failed_half_way_ends_with_another_decision(world, outcome):
    """What was approved, and perhaps taken up since, is out of force when the other decision returns."""
    receipt = world.file("n.example")

    def refuse() -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        carry_out(Decision(receipt, "grant", "ada"), world.store, world.policy, refuse, NOW)
    world.put_in_force()  # as the librarian does by itself once there is room again
    assert not world.blocked("n.example")
    world.decide(receipt, outcome, by="grace", answer="No.")
    assert world.blocked("n.example")
    assert world.store.overrides(NOW) == []


def test_an_approval_for_a_list_that_became_mandatory_does_not_count(world):
    """The person is told what to revoke; then two decide anew."""
    receipt = world.file("http://l.example/x")
    plain = Listing("law", format=ListFormat.URLS)
    entry = Entry(Kind.URL, "l.example/x", Scope.PAGE, Action.ALLOW)
    row = world.store.add_override(
        plain, entry, by="ada", reason="", expires_at=NOW + timedelta(days=1), now=NOW, receipt=receipt
    )
    with pytest.raises(MoveError, match=f"law has become mandatory.*revoke {row.id}"):
        world.decide(receipt, by="grace", reference="AZ 1/26")
    world.store.revoke_override(row.id, NOW)
    assert world.decide(receipt, reference="AZ 1/26").waits_for == 1


@pytest.mark.parametrize("days", [0, -1, 3654, 2_900_000, 900_000_000])
def test_no_override_lasts_longer_than_ten_years(world, days):
    """A length that makes no sense is refused in one line, and nothing is kept."""
    with pytest.raises(MoveError, match="ten years|in the future"):
        world.decide(world.file("n.example"), expires=timedelta(days=days))
    assert world.store.override_rows() == []


def test_an_appeal_is_granted_only_once_it_is_in_force(world):
    """Where the bundle cannot be written the appeal stays open, and deciding again goes on from there."""
    receipt = world.file("n.example")

    def refuse() -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        carry_out(Decision(receipt, "grant", "ada"), world.store, world.policy, refuse, NOW)
    assert world.store.appeal(receipt).state is State.TRIAGED
    assert world.decide(receipt).state is State.GRANTED
    assert len(world.store.override_rows()) == 1


@pytest.mark.parametrize(("outcome", "state"), [
    ("triage", State.TRIAGED), ("reject", State.REJECTED), ("forward", State.FORWARDED), ("withdraw", State.WITHDRAWN),
])  # fmt: skip
def test_other_decisions_spare_nothing(world, outcome, state):
    """The appeal moves; the policy does not."""
    assert world.decide(world.file("n.example"), outcome, answer="No.").state is state
    assert world.published == 0
    assert world.blocked("n.example")


@pytest.mark.parametrize(("receipt", "outcome", "said"), [
    ("FP-0000-0000", "grant", "receipt"),
    (None, "burn", "decide one of"),
    ("good.example", "grant", "nothing to spare"),
])  # fmt: skip
def test_what_cannot_be_done_is_said(world, receipt, outcome, said):
    """No such appeal, no such decision, nothing that blocks: one line each, and nothing has changed."""
    number = receipt if receipt and receipt.startswith("FP") else world.file(receipt or "n.example")
    with pytest.raises(MoveError, match=said):
        world.decide(number, outcome)
    assert world.store.override_rows() == []


def test_every_list_that_blocks_is_found_whoever_subscribes(world):
    """Two lists that block the same host are two overrides."""
    subject = subject_of("http://n.example/zyxwort")
    assert subject is not None
    assert {match.listing.id for match in blocking(subject, world.policy(), NOW)} == {"names", "words"}
    world.decide(world.file("http://n.example/zyxwort"))
    assert not world.blocked("http://n.example/zyxwort")


def test_an_override_expires(world):
    """A year, where nothing else is said."""
    [override] = world.decide(world.file("n.example")).overrides
    assert override.expires_at == NOW + timedelta(days=365)


def test_no_entry_is_wider_than_the_subject():
    """What is spared from a match is a page or one exact host."""
    listing = Listing("x", format=ListFormat.URLS, https=Https.BLOCK_HOST)
    made = publish.policy_of(SETTINGS, [compile_segment("list:urls", ENTRIES["urls"], KEY).segment()], KEY, 1, {})
    subject = subject_of("http://a.example/dir/one?q=1")
    assert subject is not None
    [match] = blocking(subject, made, NOW)
    assert entry_to_spare(subject, match) == Entry(Kind.URL, "a.example/dir/one", Scope.PAGE, Action.ALLOW)
    assert listing.https is Https.BLOCK_HOST
    assert subject_of("not a host") is None
    assert subject_of("http://[/") is None


def test_nobody_is_turned_away_without_a_word(world):
    """A rejection says why, for the person reads it."""
    receipt = world.file("n.example")
    with pytest.raises(MoveError, match="--reason"):
        world.decide(receipt, "reject")
    assert world.store.appeal(receipt).state == "received"
