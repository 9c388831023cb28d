from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import SegmentError
from filterproxy.keys import Keys
from filterproxy.lists.seals import Opening, Seals, clear_size, sealed, sealed_size, unsealed
from tests.seals import PATTERNS, SEALING, SEALS

CHUNKS = [b"first chunk", b"", b"the third"]


def seal(chunks=CHUNKS, segment="list:a", part="entries", public=SEALS.sealing_public):
    """Return a sealed part."""
    return b"".join(sealed(segment, part, chunks, public))


def unseal(content, segment="list:a", part="entries", private=SEALING):
    """Return the chunks of a sealed part."""
    return list(unsealed(segment, part, len(content), io.BytesIO(content).read, private))


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_what_is_sealed_comes_back(chunks):
    """Chunk by chunk, and as long as was said before."""
    content = seal(chunks)
    assert len(content) == sealed_size(chunks)
    assert unseal(content) == chunks
    if len(chunks) == 1:
        assert clear_size(len(content)) == len(chunks[0])


def test_each_part_has_a_key_of_its_own():
    """The same is never sealed to the same twice, and nothing of it shows."""
    assert seal() != seal()
    assert b"chunk" not in seal()


@pytest.mark.parametrize("place", [
    {"segment": "list:b"}, {"part": "patterns"}, {"private": PATTERNS},
])  # fmt: skip
def test_it_opens_in_its_place_and_with_its_key_alone(place):
    """Not as another list's, as another part, nor with the other key of the same installation."""
    with pytest.raises(SegmentError, match="another key"):
        unseal(seal(), **place)


def test_every_flipped_bit_is_refused():
    """In the wrapped key, the number of chunks, a length, a chunk: one error each, and nothing else."""
    content = seal()
    for place in range(len(content) * 8):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(SegmentError):
            unseal(bytes(damaged))


def test_what_is_cut_short_or_longer_is_refused():
    """At any byte."""
    content = seal()
    for size in range(1, len(content)):
        with pytest.raises(SegmentError):
            unseal(content[:size])
    with pytest.raises(SegmentError):
        unseal(content + b"\0")


def test_chunks_cannot_be_left_out_or_rearranged():
    """Each is bound to its number and to how many there are."""
    content = seal([b"one", b"two"])
    head, first, second = content[:84], content[84:107], content[107:]
    assert head + first + second == content
    for wrong in (head + second + first, head[:80] + b"\1\0\0\0" + first):
        with pytest.raises(SegmentError, match="another key"):
            unseal(wrong)


def test_an_installation_s_keys_say_what_each_is_given(tmp_path):
    """Control can seal patterns and not open them; a manifest names keys as the keys themselves do."""
    keys = Keys.open_or_create(tmp_path / "keys")
    seals = Seals.of(keys)
    assert seals.ids == keys.ids
    assert seals.signing_public == keys.signing_public
    assert Opening.of(keys) == Opening(keys.patterns_private, keys.signing_public)
    assert keys.patterns_private not in {getattr(seals, name) for name in Seals.__slots__}
    assert Seals.passing().ids != Seals.passing().ids


def test_keys_are_not_shown():
    """No representation holds one."""
    assert repr(SEALS) == "Seals()"
    assert repr(Opening(b"a", b"b")) == "Opening()"
