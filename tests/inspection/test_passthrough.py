"""Which TLS is opened."""

from __future__ import annotations

import pytest

from filterproxy.core.model import Action, Kind, Listing, Match, Scope, Verdict
from filterproxy.inspection.passthrough import Tunnel, UnreadableNameError, opens, server_name

INSPECT = Verdict(inspect=True)
WARN = Verdict(match=Match(Listing("words"), Kind.KEYWORD, Scope.WORD, Action.WARN, "x"))


class Hello:
    """What mitmproxy's ClientHello shows of the name."""

    def __init__(self, sni: str | None, *, given: bool = True) -> None:
        self.sni, self.extensions = sni, [(10, b""), *([(0, b"")] if given else [])]


@pytest.mark.parametrize(
    ("setting", "verdict", "opened"),
    [
        ("listed", INSPECT, True), ("listed", Verdict(), False), ("listed", WARN, False),
        ("all", Verdict(), True), ("none", INSPECT, False),
    ],
)  # fmt: skip
def test_tls_is_opened_where_listed_pages_live(setting, verdict, opened):
    """Or everywhere, or nowhere, as the operator says."""
    assert opens(setting, verdict) is opened


def test_a_tunnel_begins_closed_and_serves_its_own_names():
    """CONNECT's and the SNI, on the port of the CONNECT."""
    tunnel = Tunnel("a.test", 443, "b.test")
    assert not tunnel.opened
    assert [tunnel.serves(place) for place in (("a.test", 443), ("b.test", 443), ("c.test", 443), ("a.test", 80))] == [
        True, True, False, False,
    ]  # fmt: skip


def test_a_server_name_is_canonical_or_absent():
    """However it is spelled."""
    assert server_name(Hello("A.Test.")) == "a.test"  # type: ignore[arg-type]
    assert server_name(Hello(None, given=False)) is None  # type: ignore[arg-type]


def test_a_server_name_that_cannot_be_read_is_no_absent_one():
    """Two names in one hello, or a bad one: the origin might still understand it."""
    with pytest.raises(UnreadableNameError):
        server_name(Hello(None))  # type: ignore[arg-type]
