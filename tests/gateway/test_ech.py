"""Encrypted hellos: what can be known of an offer, and the configurations with which it may have been made."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.gateway.ech import VERSION, EchConfig, Offer, configs, offered
from filterproxy.gateway.vectors import UnreadableError
from tests.gateway.hellos import encrypted, extension, vector

SUITES = ((1, 1), (1, 3))


def contents(name: bytes = b"public.example", *, ident: int = 7, suites: bytes = bytes.fromhex("0001000100010003"),
             extensions: bytes = b"") -> bytes:  # fmt: skip
    key = bytes([ident]) + b"\0\x20" + vector(2, bytes(32)) + vector(2, suites)
    return key + b"\0" + vector(1, name) + vector(2, extensions)


def published(*made: bytes, version: int = VERSION) -> bytes:
    return vector(2, b"".join(extension(version, one) for one in made))


def test_a_list_is_read_in_its_order():
    """Identifier, key kind, suites and the public name in its one spelling."""
    found = configs(published(contents(b"Public.EXAMPLE"), contents(b"other.test", ident=200)))
    assert found == (EchConfig(7, "public.example", 0x20, SUITES), EchConfig(200, "other.test", 0x20, SUITES))
    assert "example" not in repr(found)


def test_a_list_of_a_large_provider_is_read():
    """As one stood in DNS, under another name of the same length."""
    (found,) = configs(
        base64.b64decode(
            "AEX+DQBB8gAgACDCIaU3P6vz668J2oRRZtptSEwH+1IX8/3TOArEx0tRLAAEAAEAAQASYS1wcm92aWRlci5leGFtcGxlAAA="
        )
    )
    assert found == EchConfig(0xF2, "a-provider.example", 0x20, ((1, 1),))


@pytest.mark.parametrize("ignored", [
    extension(0xFE0A, b"anything"),
    extension(VERSION, contents(extensions=extension(0x8001))),
    extension(VERSION, contents(b"192.0.2.1")),
    extension(VERSION, contents(b"0x7f")),
    extension(VERSION, contents(b"a..example")),
    extension(VERSION, contents("é.example".encode())),
])  # fmt: skip
def test_what_clients_ignore_is_left_out(ignored):
    """Other versions, mandatory extensions, names that are no host; what stands beside is read."""
    assert [one.config_id for one in configs(vector(2, ignored + extension(VERSION, contents(ident=9))))] == [9]


@pytest.mark.parametrize("data", [
    b"", b"\0\0", b"\0\4abc", published(contents()) + b"x", published(contents() + b"x"), published(contents()[:-1]),
    published(contents(suites=b"")), published(contents(suites=bytes(6))), published(contents(b"")),
    published(contents(extensions=extension(1) * 2)), published(contents(extensions=b"\0\1\0")),
])  # fmt: skip
def test_what_is_no_list_is_refused(data):
    """Lengths that do not add up, empty parts, an extension that comes twice."""
    with pytest.raises(UnreadableError):
        configs(data)


@pytest.mark.parametrize(("offer", "fits"), [
    (Offer(7, 1, 1, 32, 208), True),
    (Offer(7, 1, 3, 32, 208), True),
    (Offer(7, 1, 1, 0, 208), True),  # after a HelloRetryRequest
    (Offer(8, 1, 1, 32, 208), False),
    (Offer(7, 1, 2, 32, 208), False),
    (Offer(7, 1, 1, 65, 208), False),
])  # fmt: skip
def test_an_offer_fits_the_configuration_that_it_may_have_been_made_with(offer, fits):
    """Identifier, suite and the key's length must agree; what else there is, is random to the eye."""
    (config,) = configs(published(contents()))
    assert config.fits(offer) is fits


def test_grease_fits_by_chance_alone():
    """Of all identifiers one fits: who takes a fit for a proof is wrong once in 256 times for each configuration."""
    (config,) = configs(published(contents()))
    made = [offered(encrypted(ident)[4:]) for ident in range(256)]
    assert sum(offer is not None and config.fits(offer) for offer in made) == 1


@pytest.mark.parametrize("data", [
    b"", b"\2", b"\1x", b"\0", encrypted()[4:-1], encrypted()[4:] + b"x", encrypted(payload=0)[4:],
])  # fmt: skip
def test_an_offer_that_does_not_add_up_is_refused(data):
    """Servers that know the extension would not take it either."""
    with pytest.raises(UnreadableError):
        offered(data)


@given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda data: published(contents()[:9] + data)))
def test_any_bytes_are_read_or_refused(data):
    """No other error leaves."""
    with contextlib.suppress(UnreadableError):
        configs(data)
    with contextlib.suppress(UnreadableError):
        offered(data)
