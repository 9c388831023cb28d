"""An address is in a network however it is spelled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.portal.networks import Networks, network_of

NETWORKS = Networks(["192.0.2.0/24", "2001:db8::/32", "fe80::/10"])


@pytest.mark.parametrize(("text", "inside"), [
    ("192.0.2.7", True),
    ("::ffff:192.0.2.7", True),
    ("192.0.3.7", False),
    ("2001:db8::7", True),
    ("fe80::1%eth0", True),
    ("::1", False),
    ("", False),
    ("unix:/run/x", False),
    ("192.0.2.7:8000", False),
])  # fmt: skip
def test_an_address_is_in_or_out(text, inside):
    """Mapped and zoned addresses count as what they are; all that is no address is in no network."""
    assert (text in NETWORKS) is inside


@given(st.text(max_size=60))
def test_any_text_has_a_network(text):
    """Whatever stands for a client, it counts as one, and nothing is raised."""
    assert network_of(text) == network_of(text)
    assert text not in Networks([])
