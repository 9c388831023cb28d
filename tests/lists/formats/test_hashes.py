from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import Entry
from filterproxy.lists.formats import Options
from filterproxy.lists.formats.hashes import DIGITS, parse


@pytest.mark.parametrize("algorithm", list(DIGITS))
@pytest.mark.parametrize("spelled", ["{name}:{hex}", "{name},{hex}", "{name} {hex}", "{NAME}:{HEX}", "{name}:{hex},A"])
def test_a_hash_is_its_algorithm_and_digits(algorithm, spelled):
    """However it is written, in lower case."""
    digits = "0123456789abcdef" * (DIGITS[algorithm] // 8)
    digits = digits[: DIGITS[algorithm]]
    text = spelled.format(name=algorithm, NAME=algorithm.upper(), hex=digits, HEX=digits.upper())
    (item,) = parse([text.encode()], Options())
    assert isinstance(item, Entry)
    assert (item.kind, item.value) == ("hash", f"{algorithm}:{digits}")
    assert item.scope == ("near" if algorithm == "pdq" else "exact")
    assert item.reference == ("A" if spelled.endswith("A") else "")


@pytest.mark.parametrize(("length", "value"), [(32, "md5"), (40, "sha1"), (64, "sha256"), (33, None), (128, None)])
def test_digits_alone_are_known_by_their_number(length, value):
    """64 digits are SHA-256: a PDQ hash, which means what is near it, always says so."""
    (item,) = parse([b"0a" * (length // 2) + b"0" * (length % 2)], Options())
    assert (item.value.partition(":")[0] if isinstance(item, Entry) else None) == value


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_any_bytes_are_items(lines):
    """Whatever a source holds, no exception, and one item a line at most."""
    found = list(parse(lines, Options()))
    assert len({item.line for item in found}) == len(found) <= len(lines)
