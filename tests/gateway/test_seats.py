"""Places for connections."""

from __future__ import annotations

from filterproxy.gateway.seats import Seats


def test_a_client_has_its_share_and_all_have_theirs():
    """Who finds no place is sent away; one that is given back is free again."""
    seats = Seats(3, 2)
    one, two = seats.take("192.0.2.1"), seats.take("192.0.2.1")
    assert one is not None
    assert two is not None
    assert seats.take("192.0.2.1") is None
    assert seats.take("192.0.2.2") is not None
    assert seats.take("192.0.2.3") is None
    assert seats.taken == 3
    seats.leave(one)
    assert seats.take("192.0.2.3") is not None
    seats.leave(two)
    assert seats.taken == 2
    assert "192.0.2.1" not in seats._of


def test_who_shares_an_ipv6_network_is_one_client():
    """A household has a /64, and changes its addresses within."""
    seats = Seats(9, 1)
    assert seats.take("2001:db8::1") == seats._of.copy().popitem()[0]
    assert seats.take("2001:db8::ffff") is None
    assert seats.take("2001:db8:0:1::1") is not None
