"""A token says what was blocked to control alone, and nothing to anybody else."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import TokenError
from filterproxy.notice.token import _INFO, _SUITE, LIFETIME, LONGEST_SUBJECT, Blocked, Opener, Sealer, sealable

AT = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
FACTS = Blocked("plays", "http://a.example/listed?x=1", "url", AT, "ABCD-2345")
KEY = X25519PrivateKey.generate()
SEALER, OPENER = Sealer(KEY.public_key().public_bytes_raw()), Opener([KEY.private_bytes_raw()])


def test_control_reads_what_the_edge_sealed():
    """What was sealed is opened unchanged, with the time cut to the hour."""
    opened = OPENER.open(SEALER.seal(FACTS), AT)
    assert opened == FACTS
    assert opened.at == datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=2000), st.sampled_from(["url", "host"]))
def test_whatever_is_sealed_comes_back(subject, kind):
    """Any address in its canonical spelling survives the round trip."""
    facts = Blocked("plays", subject, kind, AT, "ABCD-2345")
    assert OPENER.open(SEALER.seal(facts), AT).subject == subject


def test_a_key_that_was_replaced_still_opens():
    """After a change of keys, tokens of the old one are read as long as control keeps it."""
    other = X25519PrivateKey.generate()
    assert Opener([other.private_bytes_raw(), KEY.private_bytes_raw()]).open(SEALER.seal(FACTS), AT) == FACTS
    with pytest.raises(TokenError):
        Opener([other.private_bytes_raw()]).open(SEALER.seal(FACTS), AT)


def test_keys_are_replaced_while_others_seal_and_open():
    """From one call to the next: what is sealed is for the new pair, and what opened before opens still."""
    other = X25519PrivateKey.generate()
    sealer, opener = Sealer(KEY.public_key().public_bytes_raw()), Opener([KEY.private_bytes_raw()])
    early = sealer.seal(FACTS)
    opener.use([other.private_bytes_raw(), KEY.private_bytes_raw()])
    sealer.use(other.public_key().public_bytes_raw())
    late = sealer.seal(FACTS)
    assert opener.open(early, AT) == opener.open(late, AT) == FACTS
    with pytest.raises(TokenError):
        OPENER.open(late, AT)


def test_the_length_tells_little_of_the_address():
    """Tokens come in steps of 512 bytes, and two tokens for one address differ."""
    short, long = (SEALER.seal(Blocked("plays", "h" * n, "host", AT, "ABCD-2345")) for n in (3, 300))
    assert len(short) == len(long)
    longest = Blocked("plays", '"' * LONGEST_SUBJECT, "host", AT, "R")
    assert OPENER.open(SEALER.seal(longest), AT) == longest
    assert SEALER.seal(FACTS) != SEALER.seal(FACTS)


@pytest.mark.parametrize(("later", "opens"), [
    (timedelta(), True),
    (LIFETIME - timedelta(hours=1), True),
    (LIFETIME + timedelta(hours=1), False),
    (-timedelta(days=2), False),  # from the future: no clock is that wrong
])  # fmt: skip
def test_a_token_lives_thirty_days(later, opens):
    """A token that is too old, or from the future, is refused."""
    token = SEALER.seal(FACTS)
    if opens:
        assert OPENER.open(token, AT + later) == FACTS
    else:
        with pytest.raises(TokenError):
            OPENER.open(token, AT + later)


@given(
    st.one_of(st.text(max_size=3000), st.binary(max_size=2000).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
)
def test_any_text_is_opened_or_refused(text):
    """Whatever is posted as a token, TokenError is the only thing that is raised."""
    with pytest.raises(TokenError):
        OPENER.open(text, AT)


@pytest.mark.parametrize("facts", [
    None, 1, [], "x", {}, ["plays", "s", "url", 0], ["plays", "s", "page", 0, "r"], ["plays", "s", "url", "0", "r"],
    ["plays", "s", "url", 10**30, "r"], [1, "s", "url", 0, "r"], ["p" * 81, "s", "url", 0, "r"],
    ["plays", "s", "url", 0, "\ud800"], ["pläys", "s", "url", 0, "r"], ["plays", "s", "url", 0, "r\n"],
    ["plays", "s", "url", -62135596800, "r"], ["plays", "s", "url", 253402297199, "r"],
    ["plays", "s", "url", 253402300799, "r"], ["plays", "s", "url", -(2**70), "r"], ["plays", "s", "url", True, "r"],
    ["plays", "s" * 8193, "url", 0, "r"], ["plays", "s", "url", 0, "r" * 33], ["plays", "s", ["url"], 0, "r"],
])  # fmt: skip
def test_a_well_sealed_lie_is_refused(facts):
    """Who has the public key can seal anything; what is no block is refused all the same."""
    public = X25519PublicKey.from_public_bytes(KEY.public_key().public_bytes_raw())
    sealed = _SUITE.encrypt(json.dumps(facts).encode(), public, _INFO)
    with pytest.raises(TokenError):
        OPENER.open(base64.urlsafe_b64encode(sealed).decode(), AT)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=6)
)


@given(
    st.tuples(st.text(), st.text(), st.sampled_from(["url", "host"]) | st.text(), st.integers(), st.text()) | ANYTHING
)
def test_any_content_that_is_well_sealed_is_a_block_or_refused(facts):
    """Whatever somebody seals with our public key, TokenError is the only thing that is raised."""
    sealed = _SUITE.encrypt(json.dumps(facts).encode(), SEALER._key, _INFO)
    try:
        opened = OPENER.open(base64.urlsafe_b64encode(sealed).decode(), AT)
    except TokenError:
        return
    assert abs(opened.at - AT) <= LIFETIME + timedelta(days=1)


def test_a_damaged_token_is_refused_and_its_error_holds_nothing_of_it():
    """One changed character is enough, and the error's text is fixed."""
    token = SEALER.seal(FACTS)
    wrong = ("B" if token[100] != "B" else "C").join((token[:100], token[101:]))
    for text in (wrong, token[:-1], token + "A", "", token * 40):
        with pytest.raises(TokenError) as caught:
            OPENER.open(text, AT)
        assert "a.example" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("subject", ["h" * (LONGEST_SUBJECT + 1), "é.example", "a\n.example"])
def test_what_cannot_be_sealed_is_said_at_once(subject):
    """What does not fit in a token is an error of the caller, who gives the person the form instead."""
    assert not sealable(subject)
    with pytest.raises(ValueError, match="cannot be sealed"):
        Blocked("plays", subject, "host", AT, "r")


def test_a_block_keeps_its_address_out_of_its_representation():
    """A traceback or a log line that prints a block shows no address."""
    assert "a.example" not in repr(FACTS)
