"""The text beside an extended error: who blocks, on what ground, and who to turn to; never a rule, a list or a name.

It is I-JSON (RFC 7493) of draft-ietf-dnsop-structured-dns-error-22. Of the addresses, that revision knows mail and
telephone alone, and clients ignore others; earlier ones, and the clients made by them, know web pages as well.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from filterproxy.core.model import Basis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filterproxy.core.model import Listing
    from filterproxy.settings.tables import Operator

LONGEST: Final = 400
"""Bytes of the longest text: with all else it must fit into a message that passes unfragmented."""

_PHRASE, _CONTACT = 80, 150
"""Bytes of the longest phrase and the longest address in it: all but the addresses fits in any case."""
_GROUNDS: Final = {
    Basis.LAW: "demanded by law",
    Basis.COURT: "demanded by a court",
    Basis.VOLUNTARY: "policy of this network",
    Basis.SUBSCRIBER: "chosen by the subscriber",
}
_CENSORED, _BLOCKED = 16, 15
_NETWORK_POLICY: Final = 5
_KINDS: Final = {"malware": 1, "phishing": 2, "spam": 3, "spyware": 4}
"""Sub-errors that say what a list is about."""
_NO_TEXT: Final = frozenset(("Cc", "Cs", "Cn"))
"""Control characters, halves of characters, and what is none (RFC 7493, section 2.1)."""
_MAIL = re.compile(r"[^\s@<>,;:\"\\()\[\]]{1,64}@[A-Za-z0-9.-]{1,253}")
_TELEPHONE = re.compile(r"\+?[0-9][0-9 ()./-]{2,30}")
_WEB = re.compile(r"https?://[!-~]+", re.IGNORECASE)


def text(listing: Listing, operator: Operator, portal: str) -> bytes:
    """Return what is told of a block by `listing`, at most LONGEST bytes; `portal` is the portal's URL, or empty.

    It depends on nothing but these, so a caller may keep it by list. Pure; never raises.
    """
    kind = listing.category.strip().casefold()
    ground = _GROUNDS[listing.basis]
    category = _phrase(listing.category)
    said: dict[str, object] = {"j": f"{category}: {ground}" if category else ground}
    if kind in _KINDS and listing.ede != _CENSORED:  # no sub-error goes with 16
        said["s"] = _KINDS[kind]
    elif listing.ede == _BLOCKED:
        said["s"] = _NETWORK_POLICY
    if name := _phrase(operator.name):
        said["o"] = name
    contacts = list(_contacts(listing, operator, portal))
    while len(packed := _packed({"c": contacts, **said} if contacts else said)) > LONGEST:
        contacts.pop()
    return packed


def _contacts(listing: Listing, operator: Operator, portal: str) -> Iterator[str]:
    """Yield who to turn to, each once, the nearest first: the operator, its appeal form, and the list's owner."""
    form = f"{portal.rstrip('/')}/appeal" if portal else ""
    found = dict.fromkeys(map(_uri, (operator.contact, form, listing.appeal)))
    yield from (item for item in found if 0 < len(item) <= _CONTACT)


def _uri(address: str) -> str:
    """Return the URI of a mail address, a telephone number or a web page; empty where it is none of these."""
    address = address.strip()
    if _MAIL.fullmatch(address):
        local, _, host = address.rpartition("@")
        return f"mailto:{quote(_clean(local), safe="!$'*+-._~")}@{host}"
    if _TELEPHONE.fullmatch(address):
        return "tel:" + re.sub(r"[^0-9+]+", "-", address).strip("-")
    return address if _WEB.fullmatch(address) else ""


def _phrase(value: str) -> str:
    """Return a text for people on one line, cut where it is too long."""
    encoded = _clean(value).encode()
    return encoded[:_PHRASE].decode(errors="ignore").rstrip()


def _clean(value: str) -> str:
    """Return `value` as text that travels (RFC 5198): composed, each space a plain one, nothing that is no text."""
    plain = "".join(" " if unicodedata.category(item) in _NO_TEXT else item for item in value)
    return unicodedata.normalize("NFC", " ".join(plain.split()))


def _packed(said: dict[str, object]) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
