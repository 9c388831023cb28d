"""Which resolvers the system uses, and which of them are ourselves."""

from __future__ import annotations

import pytest

from filterproxy.dns.resolvconf import nameservers

TEXT = """
# nameserver 192.0.2.1
search home.example
nameserver 127.0.0.1
nameserver 192.0.2.53
nameserver	2001:db8::53
nameserver fe80::1%lo
nameserver resolver.example
nameserver
nameserver 192.0.2.53
options edns0
"""


@pytest.mark.parametrize(("listen", "ours"), [
    ([], []),
    (["127.0.0.1:5354", "[::1]:53"], []),
    (["127.0.0.1:53"], ["127.0.0.1"]),
    (["0.0.0.0:53"], ["127.0.0.1"]),
    (["[2001:db8::53]:53"], ["2001:db8::53"]),
])  # fmt: skip
def test_each_nameserver_is_used_once_and_never_ourselves(listen, ours):
    """A filter that asked itself would never answer; what is no address is passed over."""
    everyone = ["127.0.0.1", "192.0.2.53", "2001:db8::53", "fe80::1%lo"]
    assert nameservers(TEXT, listen) == [(item, 53) for item in everyone if item not in ours]
