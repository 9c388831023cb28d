"""Keys for tests that write bundles: always the same, and nobody else's."""

from __future__ import annotations

from filterproxy.keys.ring import public_half
from filterproxy.lists.seals import Opening, Seals
from tests.policies import KEY

PATTERNS, SEALING, SIGNING = b"p" * 32, b"e" * 32, b"s" * 32

SEALS = Seals(KEY, public_half("patterns", PATTERNS), SEALING, public_half("sealing", SEALING), SIGNING, b"m" * 32)
OPENING = Opening(PATTERNS, SEALS.signing_public)
