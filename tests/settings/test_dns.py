from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filterproxy.settings.dns import Dns, UpstreamAddress, split_upstream


@pytest.mark.parametrize(("text", "found"), [
    ("192.0.2.53:53", ("udp", "192.0.2.53", 53, "", "")),
    ("[2001:db8::53]:5353", ("udp", "2001:db8::53", 5353, "", "")),
    ("udp://192.0.2.53:53", ("udp", "192.0.2.53", 53, "", "")),
    ("tcp://192.0.2.53:53", ("tcp", "192.0.2.53", 53, "", "")),
    ("tls://192.0.2.53:853", ("tls", "192.0.2.53", 853, "", "")),
    ("tls://[2001:db8::53]:853#DNS.example.", ("tls", "2001:db8::53", 853, "dns.example", "")),
    ("https://dns.example/dns-query#192.0.2.53", ("https", "192.0.2.53", 443, "dns.example", "/dns-query")),
    ("https://dns.example:8443/q#2001:db8::53", ("https", "2001:db8::53", 8443, "dns.example", "/q")),
    ("https://192.0.2.53/dns-query", ("https", "192.0.2.53", 443, "192.0.2.53", "/dns-query")),
])  # fmt: skip
def test_an_upstream_is_written_in_one_of_four_ways(text, found):
    """Address and port, what its certificate must be for, and what is asked for there."""
    assert split_upstream(text) == UpstreamAddress(*found)
    assert Dns(upstreams=(text,)).upstreams == (text,)


@pytest.mark.parametrize("text", [
    "", "192.0.2.53", "dns.example:53", "tls://dns.example:853", "tls://192.0.2.53", "tcp://192.0.2.53:53#dns.example",
    "quic://192.0.2.53:853", "https://dns.example/dns-query", "https://dns.example#192.0.2.53", "192.0.2.53:0",
    "https://user@dns.example/q#192.0.2.53", "https://dns.example/q?a=b#192.0.2.53", "https://dns.example/q u#::1",
    "tls://192.0.2.53:853#not a name", "https://dns.example:99999/q#192.0.2.53", "https:///q#192.0.2.53",
])  # fmt: skip
def test_what_cannot_be_asked_is_refused(text):
    """An upstream is an address, for there is nobody to ask for it; and nothing in it is passed over."""
    with pytest.raises(ValidationError):
        Dns(upstreams=(text,))


@given(st.text(max_size=40) | st.from_regex(r"(tls|tcp|udp|https|h)://[0-9a-z.:\[\]/#@?]{0,30}", fullmatch=True))
def test_any_text_is_an_upstream_or_that_one_error(text):
    """Whatever stands there, the configuration is refused in words and not by a fault."""
    try:
        split_upstream(text)
    except ValueError:
        return


@pytest.mark.parametrize("text", ["64:ff9b::/96", "2001:db8:100::/40", "2001:db8::/32", ""])
def test_a_prefix_for_translated_addresses(text):
    """Those of RFC 6052, or none."""
    assert Dns(dns64=text).dns64 == text


@pytest.mark.parametrize(
    "text", ["64:ff9b::", "64:ff9b::1/96", "2001:db8::/33", "2001:db8:0:0:ff00::/96", "10.0.0.0/8", "x"]
)
def test_no_other_prefix_is_taken(text):
    """Bits 64 to 71 are zero, and only six lengths are defined (RFC 6052, section 2.2)."""
    with pytest.raises(ValidationError):
        Dns(dns64=text)


@pytest.mark.parametrize("table", [
    {"forward": [{"zone": "192.0.2.1", "upstreams": ["192.0.2.53:53"]}]},
    {"forward": [{"zone": "corp.example", "upstreams": []}]},
    {"forward": [{"zone": name, "upstreams": ["192.0.2.53:53"]} for name in ("corp.example", "CORP.example.")]},
    {"forward": [{"zone": "a" * 64 + ".example", "upstreams": ["192.0.2.53:53"]}]},
    {"rebinding_allow": ["*.example"]},
    {"records": [{"name": "x.example", "type": "NS", "value": "ns.example"}]},
    {"records": [{"name": "x.example", "value": ""}]},
    {"timeout": 0},
    {"https_records": "drop"},
])  # fmt: skip
def test_tables_that_mean_nothing_are_refused(table):
    """A zone twice, an address for a zone, a zone without anybody to ask, a wait of no time."""
    with pytest.raises(ValidationError):
        Dns.model_validate(table)
