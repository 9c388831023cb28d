"""A notice maker over a real key pair, and what it blocks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from filterproxy.core.model import Action, Basis, Kind, Listing, Match, Scope, Verdict
from filterproxy.notice.render import Notices
from filterproxy.notice.token import Opener, Sealer
from filterproxy.settings.tables import HelpLink, Operator

PORTAL = "http://notice.example:8000"
OPERATOR = Operator(
    name="Example <Net>", contact="help@net.example", url="https://net.example/",
    help=(HelpLink(name="A helpline", url="https://helpline.example/"),),
)  # fmt: skip


@pytest.fixture
def pair() -> tuple[bytes, bytes]:
    """Return a private and the public key, raw."""
    key = X25519PrivateKey.generate()
    return key.private_bytes_raw(), key.public_key().public_bytes_raw()


@pytest.fixture
def notices(pair) -> Notices:
    return Notices(OPERATOR, PORTAL, Sealer(pair[1]))


@pytest.fixture
def opener(pair) -> Opener:
    return Opener([pair[0]])


@pytest.fixture
def moment() -> datetime:
    return datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)


def blocked_by(**changes) -> Verdict:
    """Return a blocking verdict of a list with these fields."""
    facts = {
        "id": "plays",
        "title": "List of <plays>",
        "authority": "Example Board",
        "category": "Plays",
        "basis": Basis.VOLUNTARY,
    }
    listing = Listing(**{**facts, **changes})
    return Verdict(match=Match(listing, Kind.URL, Scope.PAGE, Action.BLOCK, "a.example/listed", reference="row-77"))
