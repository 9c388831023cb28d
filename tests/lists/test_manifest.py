from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import SegmentError
from filterproxy.lists.manifest import Held, Manifest, Part, Status, signed, verified
from tests.policies import NOW
from tests.seals import SEALS, SIGNING

HELD = Held("1" * 32, "domain", "tree", 3, "own", NOW.isoformat(), "é.example")
MANIFEST = Manifest(
    9,
    (Part("list:a", f"{'0' * 32}.seg", "0" * 64, "v", NOW.isoformat(), 12),),
    (Status("a", "ok", held=(HELD,), changed=(1, 2)),),
    NOW.isoformat(), NOW.isoformat(), SEALS.ids,
)  # fmt: skip
CONTENT = signed(MANIFEST, SIGNING)
SMALL = signed(Manifest(1), SIGNING)


def refused(content, *keys):
    """Tell whether that one error refuses `content`; anything else fails the test."""
    try:
        verified(content, *(keys or (SEALS.signing_public,)))
    except SegmentError:
        return True
    return False


def test_what_is_signed_is_verified_the_same():
    """Every field survives."""
    assert verified(CONTENT, SEALS.signing_public) == MANIFEST


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_a_changed_byte_anywhere_is_refused(place, change):
    """Wherever it is: in the signature, in what is signed, in what is around both."""
    damaged = bytearray(CONTENT)
    damaged[place] ^= change
    assert refused(bytes(damaged))


def test_a_flipped_bit_anywhere_is_refused():
    """Each bit of a small manifest, the case of its signature's letters among them."""
    for place in range(len(SMALL) * 8):
        damaged = bytearray(SMALL)
        damaged[place // 8] ^= 1 << place % 8
        assert refused(bytes(damaged)), place
    assert refused(SMALL.upper())


def test_what_is_cut_short_or_longer_is_refused():
    """At any byte, and by any byte more."""
    assert all(refused(CONTENT[:size]) for size in range(len(CONTENT)))
    assert all(refused(CONTENT + bytes([more])) for more in range(256))


def test_what_another_installation_signed_is_refused():
    """A good signature of somebody else's is none; so is ours over something else."""
    assert refused(signed(MANIFEST, b"x" * 32))
    assert refused(CONTENT, replace(SEALS, signing_private=b"x" * 32).signing_public)
    assert refused(CONTENT.replace(b'"generation":9', b'"generation":8'))
    with pytest.raises(SegmentError, match="not signed"):
        verified(signed(MANIFEST, b"x" * 32), SEALS.signing_public)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_foreign_json_is_no_manifest(value):
    """Whatever a manifest's fields hold, reading it is a manifest or that one error."""
    good = Manifest(1).as_dict()
    for name in good:
        with suppress(SegmentError):
            Manifest.from_dict(good | {name: value})
        with suppress(SegmentError):
            Manifest.from_dict(good | {name: [value]})
    with pytest.raises(SegmentError):
        Manifest.from_dict({})


def test_a_held_entry_is_not_shown():
    """A representation names no listed address."""
    assert "example" not in repr(MANIFEST)
