"""What a receiver asks, read and verified; and what it is told where it asks what it may not have.

A zone that a receiver may not have is refused as one that is not there: nobody learns which lists there are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import dns.message
import dns.name
import dns.opcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig

from .signing import BADKEY, BADSIG, BADTIME, Signer, unsigned

if TYPE_CHECKING:
    from filterproxy.settings.service import Receiver

    from .receivers import Receivers

LONGEST: Final = 4096
"""Bytes of the longest question that is read: one of IXFR carries a SOA record and a signature."""
SOA, OPT, IXFR, AXFR = 6, 41, 251, 252
FORMERR, SERVFAIL, NOTIMP, REFUSED, NOTAUTH = 1, 2, 4, 5, 9
_OPT_RECORD: Final = b"\0" + struct.pack("!HHIH", OPT, 65_535, 0, 0)


@dataclass(frozen=True, slots=True)
class Request:
    """A question of a receiver that is who it says."""

    ident: int
    question: bytes = field(repr=False)
    """As it was spelled: name, type and class."""
    zone: str
    """In lower case, without the final dot."""
    qtype: int
    serial: int | None
    """What the receiver has, where it asks for what changed since."""
    receiver: Receiver
    signer: Signer
    edns: bool

    @property
    def room(self) -> int:
        """Bytes that `finished` adds to a message at most."""
        return self.signer.room + len(_OPT_RECORD)

    def finished(self, message: bytes, now: int) -> bytes:
        """Return the next message of the answer, with what it must carry: OPT where the question did (RFC 6891)."""
        return self.signer.sign(_with_opt(message) if self.edns else message, now)

    def refusal(self, rcode: int, now: int) -> bytes:
        """Return the whole answer where there is nothing else to say."""
        head = struct.pack("!6H", self.ident, 0x8000 | rcode, 1, 0, 0, 0)
        return self.finished(head + self.question, now)


class Refusal(NamedTuple):
    """A question that is not answered, why, and what is said instead; nothing where the connection is to end."""

    reason: str
    reply: bytes | None = None
    receiver: str = ""


def read(packet: bytes, receivers: Receivers, address: str, now: int) -> Request | Refusal:
    """Return what `packet`, which came from `address`, asks. Never raises on what it holds."""
    if len(packet) < 12 or packet[2] & 0x80:
        return Refusal("malformed")
    question = _question(packet)
    if question is None:
        return Refusal("malformed", _bare(packet, FORMERR))
    try:
        message = dns.message.from_wire(packet, keyring=lambda _, name: receivers.key(name))
    except (dns.message.UnknownTSIGKey, dns.tsig.BadAlgorithm, dns.tsig.BadKey):
        return _unverified(packet, question, BADKEY, "key", now)
    except dns.tsig.BadSignature:
        return _unverified(packet, question, BADSIG, "signature", now)
    except dns.tsig.BadTime:
        return _late(packet, question, receivers, now)
    except Exception:  # noqa: BLE001 - a stranger's bytes: whatever dnspython makes of them
        return Refusal("malformed", _bare(packet, FORMERR))
    if not message.had_tsig or message.keyname is None:
        return Refusal("unsigned", _reply(packet, question, REFUSED))
    return _verified(packet, question, message, receivers, address, now)


def _verified(
    packet: bytes, question: bytes, message: dns.message.Message, receivers: Receivers, address: str, now: int
) -> Request | Refusal:
    keyname = cast("dns.name.Name", message.keyname)
    key = cast("dns.tsig.Key", receivers.key(keyname))
    signer = Signer(key, message.mac or b"", message.id)
    receiver = receivers.owner(keyname, address)
    if receiver is None:
        return Refusal("address", signer.sign(_reply(packet, question, REFUSED), now))
    asked = message.question[0]
    edns = message.edns >= 0
    zone = asked.name.canonicalize().to_text(omit_final_dot=True)
    serial = _serial(message) if asked.rdtype == IXFR else None
    found = Request(message.id, question, zone, int(asked.rdtype), serial, receiver, signer, edns)
    if message.opcode() != dns.opcode.QUERY:
        return Refusal("opcode", found.refusal(NOTIMP, now), receiver.id)
    if asked.rdclass != dns.rdataclass.IN or asked.rdtype not in (SOA, IXFR, AXFR):
        return Refusal("type", found.refusal(REFUSED, now), receiver.id)
    if asked.rdtype == IXFR and serial is None:
        return Refusal("malformed", found.refusal(FORMERR, now), receiver.id)
    return found


def _serial(message: dns.message.Message) -> int | None:
    """Return the serial of the SOA record with which IXFR tells what it has (RFC 1995, section 3)."""
    for rrset in message.authority:
        if rrset.rdtype == SOA and rrset.name == message.question[0].name and len(rrset):
            return int(cast("Any", rrset[0]).serial)
    return None


def _question(packet: bytes) -> bytes | None:
    """Return the one question of `packet`, where it has one that is spelled out."""
    if packet[4:6] != b"\0\1":
        return None
    at = 12
    while at < len(packet) and (length := packet[at]):
        if length > 63:
            return None
        at += 1 + length
    at += 5
    return packet[12:at] if at <= len(packet) and at - 16 <= 255 else None


def _unverified(packet: bytes, question: bytes, error: int, reason: str, now: int) -> Refusal:
    """Return NOTAUTH with a TSIG that says what was wrong with theirs (RFC 8945, sections 5.2.1 and 5.2.2)."""
    tsig = _tsig(packet)
    if tsig is None:
        return Refusal("malformed", _bare(packet, FORMERR))
    name, rdata = tsig
    return Refusal(reason, unsigned(_reply(packet, question, NOTAUTH), name, rdata.algorithm, now, error))


def _late(packet: bytes, question: bytes, receivers: Receivers, now: int) -> Refusal:
    """Return NOTAUTH, signed, with the time that they gave and ours (section 5.2.3)."""
    tsig = _tsig(packet)
    key = None if tsig is None else receivers.key(tsig[0])
    if tsig is None or key is None:
        return Refusal("malformed", _bare(packet, FORMERR))
    signer, ours = Signer(key, tsig[1].mac, int.from_bytes(packet[:2])), now.to_bytes(6)
    return Refusal("time", signer.sign(_reply(packet, question, NOTAUTH), tsig[1].time_signed, BADTIME, ours))


def _tsig(packet: bytes) -> tuple[dns.name.Name, Any] | None:
    try:
        message = dns.message.from_wire(packet, keyring=False)
    except Exception:  # noqa: BLE001 - as above
        return None
    tsig = message.tsig
    return None if tsig is None else (tsig.name, tsig[0])


def _reply(packet: bytes, question: bytes, rcode: int) -> bytes:
    return _head(packet, rcode, 1) + question


def _bare(packet: bytes, rcode: int) -> bytes:
    return _head(packet, rcode, 0)


def _head(packet: bytes, rcode: int, questions: int) -> bytes:
    flags = 0x8000 | (packet[2] & 0x79) << 8 | rcode
    return packet[:2] + struct.pack("!5H", flags, questions, 0, 0, 0)


def _with_opt(message: bytes) -> bytes:
    count = int.from_bytes(message[10:12]) + 1
    return b"".join((message[:10], count.to_bytes(2), message[12:], _OPT_RECORD))
