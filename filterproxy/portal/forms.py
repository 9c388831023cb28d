"""Reading what people send: bounded, forgiving in form, and never losing what they typed.

The forms are open to everyone and there is no session, so a forged post could do nothing that its author could not
do himself, but it could do it from somebody else's network. So a post from another site never files anything: it
opens the form, filled in. That is also how a notice, which stands on the blocked site's origin, hands over its token.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from filterproxy.core import names, urls
from filterproxy.core.appeals import CONTACT_LIMIT, MESSAGE_LIMIT, SUBJECT_LIMIT

_FIELDS = 16
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


async def read(request: Request) -> Mapping[str, str]:
    """Return the fields of an urlencoded body, the first of each name. Raises HTTPException 400 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415)
    text = (await request.body()).decode("utf-8", "replace")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise HTTPException(400) from None
    return dict(reversed(pairs))


def from_here(request: Request, own: Collection[str]) -> bool:
    """Tell whether a post comes from a page of ours, or from a program, which sends neither of the two headers.

    `own` are the authorities under which people reach us: what stands in the Host field may be a TLS terminator's.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return True
    _, found, authority = origin.partition("://")
    url = urls.canonical(origin) if found else None
    return url is not None and (url.authority in own or authority.lower() == request.headers.get("host", "").lower())


@dataclass(frozen=True, slots=True)
class Draft:
    """An appeal as typed. Line ends are ours, characters that are not text are gone, nothing else is changed."""

    token: str = field(default="", repr=False)
    address: str = field(default="", repr=False)
    message: str = field(default="", repr=False)
    contact: str = field(default="", repr=False)

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Draft:
        token = fields.get("token", "").strip()
        return cls(token, *(clean(fields.get(name, "")) for name in ("address", "message", "contact")))

    def problems(self, *, with_token: bool) -> dict[str, str]:
        """Return for each field that cannot be taken why, as a key of the catalogue."""
        found = {}
        if not with_token and (reason := _address_problem(self.address)):
            found["address"] = reason
        if not self.message:
            found["message"] = "appeal.message_missing"
        elif len(self.message) > MESSAGE_LIMIT:
            found["message"] = "appeal.message_long"
        if len(self.contact) > CONTACT_LIMIT:
            found["contact"] = "appeal.contact_long"
        return found


def _address_problem(address: str) -> str:
    if not address:
        return "appeal.address_missing"
    if len(address) > SUBJECT_LIMIT:
        return "appeal.address_long"
    spelled = _spelled(address)
    if spelled is None:
        return "appeal.address_wrong"
    return "appeal.address_long" if len(spelled) > SUBJECT_LIMIT else ""


def subject_of(address: str) -> str | None:
    """Return what a typed address means: a canonical URL, or a host where only a host was typed; None if neither.

    Only what can stand on the web is taken, and one word without a dot is a word, not an address.
    """
    spelled = _spelled(address)
    return spelled if spelled is not None and len(spelled) <= SUBJECT_LIMIT else None


def _spelled(address: str) -> str | None:
    """Return the same, however long it has become: a letter that is no ASCII is spelled with six or more."""
    text = address.strip()
    name = names.host(text)
    if name is not None:
        return name if "." in name or names.is_address(name) else None
    url = urls.canonical(text)
    if url is None or url.scheme not in ("http", "https") or re.search(r"\s", text):
        return None
    if "@" in text.partition("/")[0]:
        return None  # an e-mail address
    if "." not in url.host and not names.is_address(url.host):
        return None
    return url.text


def clean(text: str) -> str:
    """Return `text` with line feeds alone, without control characters, and without space around it."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
