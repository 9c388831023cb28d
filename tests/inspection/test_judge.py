"""Who a connection of mitmproxy's comes from."""

from __future__ import annotations

import pytest
from mitmproxy import connection

from filterproxy.inspection.judge import address_of


@pytest.mark.parametrize(
    ("address", "plain"),
    [("10.1.2.3", "10.1.2.3"), ("::ffff:10.1.2.3", "10.1.2.3"), ("fe80::1%eth0", "fe80::1")],
)
def test_an_address_is_told_without_zone_or_mapping(address, plain):
    """An IPv4 client on an IPv6 socket is an IPv4 client."""
    assert address_of(connection.Client(peername=(address, 1), sockname=("127.0.0.1", 2))) == plain
