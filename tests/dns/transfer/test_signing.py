"""Signatures of answers, as another implementation reads them."""

from __future__ import annotations

import time

import dns.message
import dns.tsig
import pytest

from filterproxy.dns.transfer.signing import BADKEY, FUDGE, Signer, unsigned
from tests.dns.transfer.house import KEYS, query, tsig

NOW = int(time.time())


def message(ident: int) -> bytes:
    found = dns.message.make_query("open.rpz.example", "SOA", id=ident)
    found.flags = dns.flags.QR
    return found.to_wire()


@pytest.mark.parametrize("name", ["one", "two"])
def test_every_message_of_a_transfer_is_signed_in_its_order(name):
    """One that is left out, doubled or changed breaks what follows."""
    asked = query(key=KEYS[name])
    asked.to_wire()
    signer = Signer(KEYS[name], asked.mac, asked.id)
    signed = [signer.sign(message(asked.id), NOW + step) for step in range(3)]
    assert all(len(wire) - len(message(asked.id)) <= signer.room for wire in signed)

    def verified(wires):
        context = None
        for wire in wires:
            found = dns.message.from_wire(wire, keyring=KEYS[name], request_mac=asked.mac, multi=True, tsig_ctx=context)
            assert found.had_tsig
            context = found.tsig_ctx

    verified(signed)
    changed = signed[1][:2] + bytes([signed[1][2] ^ 4]) + signed[1][3:]
    for wrong in ([signed[0], signed[2]], [signed[0], signed[0]], signed[1:], [signed[0], changed]):
        with pytest.raises(dns.tsig.BadSignature):
            verified(wrong)


def test_a_time_beyond_32_bits_is_told_whole():
    """The field has 48."""
    asked = query()
    asked.to_wire()
    late = 2**32 + 5
    found = dns.message.from_wire(Signer(KEYS["one"], asked.mac, asked.id).sign(message(asked.id), late), keyring=False)
    _, signed = tsig(found)
    assert (signed.time_signed, signed.fudge) == (late, FUDGE)


def test_who_cannot_be_verified_is_told_by_nobodys_signature():
    """RFC 8945, section 5.2: there is no key that both have."""
    found = dns.message.from_wire(
        unsigned(message(7), KEYS["one"].name, KEYS["one"].algorithm, NOW, BADKEY), keyring=False
    )
    name, signed = tsig(found)
    assert (name, signed.mac, int(signed.error), signed.original_id) == (KEYS["one"].name, b"", BADKEY, 7)


def test_nothing_that_is_shown_of_a_signer_shows_its_key():
    """Whatever ends up in a log."""
    assert repr(Signer(KEYS["one"], b"", 1)) == "Signer()"
