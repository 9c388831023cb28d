"""The rules of appeals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.appeals import (
    LONGEST_OVERRIDE,
    NAME_LIMIT,
    State,
    approvals_needed,
    canonical_receipt,
    canonical_secret,
    check_approval,
    check_name,
    check_override,
    ends,
    move,
    moves,
    person,
    receipt,
    secret,
    sufficient,
)
from filterproxy.core.model import Listing
from filterproxy.errors import MoveError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PLAIN, MANDATORY = Listing("own"), Listing("law", mandatory=True)
LEGAL = {
    ("received", "triaged"),
    ("received", "withdrawn"),
    ("triaged", "granted"),
    ("triaged", "rejected"),
    ("triaged", "forwarded"),
    ("triaged", "withdrawn"),
    ("forwarded", "granted"),
    ("forwarded", "rejected"),
    ("forwarded", "withdrawn"),
}


@pytest.mark.parametrize(("state", "to"), list(product(State, State)))
def test_an_appeal_takes_exactly_the_legal_steps(state, to):
    """Each pair of states is legal if and only if it stands in the table."""
    if (state.value, to.value) in LEGAL:
        assert move(state, to) is to
    else:
        with pytest.raises(MoveError):
            move(state, to)


def test_what_is_closed_stays_closed():
    """Granted, rejected and withdrawn have no next step; two of them were decided."""
    closed = {State.GRANTED, State.REJECTED, State.WITHDRAWN}
    assert {state for state in State if state.closed} == closed
    assert {state for state in State if not moves(state)} == closed
    assert {state for state in State if state.decided} == {State.GRANTED, State.REJECTED}


def test_a_mandatory_list_needs_two_people():
    """Two for a mandatory list, one for any other."""
    assert (approvals_needed(MANDATORY), approvals_needed(PLAIN)) == (2, 1)


@pytest.mark.parametrize(
    ("listing", "reference", "ends_in", "legal"),
    [
        (PLAIN, "", 1, True),
        (PLAIN, "", 0, False),
        (PLAIN, "", -1, False),
        (MANDATORY, "decision 12", 1, True),
        (MANDATORY, "", 1, False),
        (MANDATORY, " \n", 1, False),
    ],
)
def test_an_override_needs_an_end_and_for_a_mandatory_list_a_reference(listing, reference, ends_in, legal):
    """An override that would never end in the future, or lacks the authority's decision, is refused."""
    try:
        check_override(listing, reference, NOW + timedelta(seconds=ends_in), NOW)
    except MoveError:
        assert not legal
    else:
        assert legal


@pytest.mark.parametrize(("length", "legal"), [
    (timedelta(seconds=1), True),
    (LONGEST_OVERRIDE, True),
    (LONGEST_OVERRIDE + timedelta(seconds=1), False),
    (timedelta.max, False),
    (timedelta(), False),
    (timedelta.min, False),
])  # fmt: skip
def test_an_override_lasts_ten_years_at_most(length, legal):
    """However long somebody wants it, the length is legal or a MoveError, never a date that does not exist."""
    if legal:
        assert ends(NOW, length) == NOW + length
        check_override(PLAIN, "", NOW + length, NOW)
    else:
        with pytest.raises(MoveError):
            ends(NOW, length)


def test_a_missing_reference_is_said_with_its_option():
    """One line tells what to add."""
    with pytest.raises(MoveError, match=r"^list law is mandatory: .*decision.*--reference\)$"):
        check_override(MANDATORY, "", NOW + timedelta(days=1), NOW)


@pytest.mark.parametrize("spelling", ["Ann Lee", "ann  lee", " ANN LEE ", "\uff21nn Lee", "AnnLee"])
def test_one_person_is_not_two(spelling):
    """However a name is spelled, its holder approves once."""
    with pytest.raises(MoveError):
        check_approval(spelling, ["Ann Lee"])
    assert check_approval(spelling, ["Ben"]) == " ".join(spelling.split())


@pytest.mark.parametrize("name", ["", " ", "\u3000", "a\x00b", "a\u202eb", "a" * (NAME_LIMIT + 1), "\ufdfa" * 100])
def test_nobody_acts_without_a_name(name):
    """A name that is empty, cannot be printed or is too long is none."""
    with pytest.raises(MoveError):
        check_name(name)


@given(st.text())
def test_any_name_is_taken_or_refused(name):
    """A name is kept within its bounds, or refused with MoveError, and nothing else is raised."""
    try:
        kept = check_name(name)
    except MoveError:
        return
    assert 0 < len(kept) <= NAME_LIMIT
    assert person(kept) == person(name)


@pytest.mark.parametrize(
    ("listing", "approved_by", "reference", "spares"),
    [
        (PLAIN, ("Ann",), "", True),
        (PLAIN, (), "", False),
        (PLAIN, ("",), "", False),
        (MANDATORY, ("Ann", "Ben"), "decision", True),
        (MANDATORY, ("Ann", "Ben"), "", False),
        (MANDATORY, ("Ann", "ann "), "decision", False),
        (MANDATORY, ("Ann",), "decision", False),
    ],
)
def test_approvals_suffice_for_the_list_as_it_is_now(listing, approved_by, reference, spares):
    """An override made while its list was not mandatory spares nothing once the list is."""
    assert sufficient(listing, approved_by, reference) is spares


@given(st.binary(min_size=5, max_size=5))
def test_a_receipt_can_be_typed_by_hand(random):
    """Every receipt number is `FP-XXXX-XXXX`, without letters that look like digits, and reads back as itself."""
    text = receipt(random)
    assert len(text) == 12
    assert not set(text[3:]) & set("ILOU")
    assert canonical_receipt(text) == canonical_receipt(text.lower().replace("-", " ")) == text
    looks_alike = text[:3] + text[3:].replace("0", "O").replace("1", "l")
    assert canonical_receipt(looks_alike) == text


@pytest.mark.parametrize(
    ("random", "text"),
    [(bytes(5), "FP-0000-0000"), (b"\xff" * 5, "FP-ZZZZ-ZZZZ"), (b"\x00\x00\x00\x00\x01", "FP-0000-0001")],
)
def test_a_receipt_holds_all_its_random_bits(random, text):
    """Five bytes make eight characters of Crockford's base32."""
    assert receipt(random) == text


@pytest.mark.parametrize("random", [b"", bytes(4), bytes(6)])
def test_a_receipt_is_made_of_five_bytes(random):
    """Fewer would collide, more would not fit."""
    with pytest.raises(ValueError, match="five"):
        receipt(random)


@given(st.text(max_size=80))
def test_whatever_is_typed_is_a_receipt_or_none(typed):
    """Any text gives a receipt number in its one spelling, or None."""
    found = canonical_receipt(typed)
    assert found is None or canonical_receipt(found) == found


@pytest.mark.parametrize("typed", ["", "FP", "FP-0000-000", "FP-0000-00000", "FP-0000-000U", "0000-0000", "F" * 9999])
def test_what_is_no_receipt_is_none(typed):
    """Too short, too long, a letter that is not used, or without its first two letters."""
    assert canonical_receipt(typed) is None


@given(st.binary(min_size=15, max_size=15))
def test_a_secret_can_be_typed_by_hand(random):
    """120 bits in six groups of four, in the letters of receipts; case, spaces, lines and look-alikes do not matter."""
    text = secret(random)
    assert [len(group) for group in text.split("-")] == [4] * 6
    assert not set(text) & set("ILOU")
    looks_alike = text.replace("0", "o").replace("1", "l")
    for typed in (text, text.lower(), text.replace("-", ""), f" {text.replace('-', '  ')}\n", looks_alike):
        assert canonical_secret(typed) == text


def test_a_secret_holds_all_its_random_bits():
    """No two secrets are spelled alike, and fifteen bytes it must be."""
    assert secret(bytes(15)) == "-".join(["0000"] * 6)
    assert secret(bytes(14) + b"\x01").endswith("-0001")
    assert len({secret(bytes([number]) + bytes(14)) for number in range(256)}) == 256
    with pytest.raises(ValueError, match="fifteen"):
        secret(bytes(16))


@given(st.text(max_size=300))
def test_whatever_is_typed_is_a_secret_or_none(typed):
    """Any text gives a secret in its one spelling, or None."""
    found = canonical_secret(typed)
    assert found is None or canonical_secret(found) == found
