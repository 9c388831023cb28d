"""What may happen to an appeal and to the override that grants it: legal moves, approvals, receipts, secrets. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from filterproxy.errors import MoveError

from .model import Listing

SUBJECT_LIMIT: Final = 8192
MESSAGE_LIMIT: Final = 4000
CONTACT_LIMIT: Final = 320
NAME_LIMIT: Final = 200
REFERENCE_LIMIT: Final = 32
"""The longest texts that are kept, in characters. A form refuses more; nothing that a person typed is cut off."""

LONGEST_OVERRIDE: Final = timedelta(days=3653)
"""Ten years. What is to last longer is decided again by somebody who still knows why."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RECEIPT: Final = re.compile(r"FP([0-9A-HJKMNP-TV-Z]{8})")
_SECRET: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{24}")
_TYPED_FOR: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})


class State(StrEnum):
    """Where an appeal stands."""

    RECEIVED = "received"
    TRIAGED = "triaged"
    FORWARDED = "forwarded"
    GRANTED = "granted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"

    @property
    def closed(self) -> bool:
        """Whether no further move is legal."""
        return not _MOVES[self]

    @property
    def decided(self) -> bool:
        """Whether somebody judged the appeal. A withdrawn one is closed and was never judged."""
        return self in (State.GRANTED, State.REJECTED)


class Origin(StrEnum):
    """Whether the person came from a notice, or typed the address without having seen one."""

    NOTICE = "notice"
    TYPED = "typed"


_MOVES: Final[dict[State, frozenset[State]]] = {
    State.RECEIVED: frozenset({State.TRIAGED, State.WITHDRAWN}),
    State.TRIAGED: frozenset({State.GRANTED, State.REJECTED, State.FORWARDED, State.WITHDRAWN}),
    State.FORWARDED: frozenset({State.GRANTED, State.REJECTED, State.WITHDRAWN}),
    State.GRANTED: frozenset(),
    State.REJECTED: frozenset(),
    State.WITHDRAWN: frozenset(),
}


def moves(state: State) -> frozenset[State]:
    """Return the states that may follow `state`."""
    return _MOVES[state]


def move(state: State, to: State) -> State:
    """Return `to` where an appeal may go there from `state`. Raises MoveError otherwise."""
    if to not in _MOVES[state]:
        raise MoveError(f"an appeal that is {state.value} cannot become {to.value}")
    return to


def approvals_needed(listing: Listing) -> int:
    """Return how many people must approve an override of `listing`: two where the list is mandatory."""
    return 2 if listing.mandatory else 1


def check_override(listing: Listing, reference: str, expires_at: datetime, now: datetime) -> None:
    """Raise MoveError where an override of `listing` would not be legal.

    One of a mandatory list names the authority's decision; every override ends, within ten years.
    """
    if listing.mandatory and not reference.strip():
        raise MoveError(
            f"list {listing.id} is mandatory: name the decision of its authority as the reference (--reference)"
        )
    ends(now, expires_at - now)


def ends(now: datetime, length: timedelta) -> datetime:
    """Return when an override of this length ends. Raises MoveError where that is no legal one."""
    if length <= timedelta():
        raise MoveError("an override ends in the future")
    if length > LONGEST_OVERRIDE:
        raise MoveError("an override lasts ten years at most")
    return now + length


def check_name(by: str) -> str:
    """Return the name of somebody who acts, its spaces made even. Raises MoveError where it is none."""
    name = " ".join(by.split())
    if not person(name):
        raise MoveError("whoever acts needs a name")
    if not name.isprintable() or max(len(name), len(person(name))) > NAME_LIMIT:
        raise MoveError(f"a name has at most {NAME_LIMIT} characters, all of which can be printed")
    return name


def check_approval(by: str, approved_by: Iterable[str]) -> str:
    """Return the name under which `by` approves. Raises MoveError where it is none or has approved already.

    Names are compared without regard to case, width and space, or one person could pass for two.
    """
    name = check_name(by)
    if person(name) in {person(other) for other in approved_by}:
        raise MoveError("this person has approved already; another one is needed")
    return name


def person(name: str) -> str:
    """Return what two spellings of one name have in common."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def sufficient(listing: Listing, approved_by: Collection[str], reference: str) -> bool:
    """Return whether an override with these approvals and this reference may spare what `listing` blocks.

    Asked again of each override in force: a list may have become mandatory since it was made.
    """
    people = {person(name) for name in approved_by} - {""}
    return len(people) >= approvals_needed(listing) and (bool(reference.strip()) or not listing.mandatory)


def receipt(random: bytes) -> str:
    """Return the receipt number that five random bytes make: `FP-` and eight characters of Crockford's base32."""
    if len(random) != 5:
        raise ValueError("a receipt number is made of five bytes")
    return f"FP-{_spelled(random)}"


def canonical_receipt(typed: str) -> str | None:
    """Return the receipt number a person means by `typed`, or None where it cannot be one.

    Only letters and digits count, in any case, and O, I and L are read as the digits they look like.
    """
    text = _bare(typed)
    found = _RECEIPT.fullmatch(text[:2] + text[2:].translate(_TYPED_FOR))
    return f"FP-{_grouped(found[1])}" if found else None


def secret(random: bytes) -> str:
    """Return the secret that fifteen random bytes make: 120 bits in the letters of receipts, four and four."""
    if len(random) != 15:
        raise ValueError("a secret is made of fifteen bytes")
    return _spelled(random)


def canonical_secret(typed: str) -> str | None:
    """Return the secret a person means by `typed`, read as generously as a receipt; None where it cannot be one."""
    text = _bare(typed).translate(_TYPED_FOR)
    return _grouped(text) if _SECRET.fullmatch(text) else None


def _spelled(random: bytes) -> str:
    """Return bytes, a multiple of five, in Crockford's base32."""
    number = int.from_bytes(random)
    return _grouped("".join(_ALPHABET[(number >> shift) & 31] for shift in range(8 * len(random) - 5, -1, -5)))


def _grouped(text: str) -> str:
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def _bare(typed: str) -> str:
    """Return the letters and digits of what was typed, nothing where that is far too much."""
    return "" if len(typed) > 200 else "".join(char for char in typed.upper() if char.isalnum())
