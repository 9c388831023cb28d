"""What is said to a request whose names a list knows, or whose URL some list reads."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from filterproxy.core.model import Action
from filterproxy.core.rulings import Client as Asker
from filterproxy.core.rulings import Ruling
from filterproxy.notice import seen

from .judging import urls
from .pages import values

if TYPE_CHECKING:
    from filterproxy.core.policy import Policy

    from .client import Client
    from .judging import Named
    from .requests import Request

_COOKIE: Final = seen.NAME


def ruled(
    client: Client, policy: Policy, profile: str, named: Named, target: bytes, request: Request, *, keep: bool
) -> bytes | None:
    """Return the answer that takes the place of what was asked for, or None where it may pass; count either."""
    house = client.house
    read = urls(named, target)
    if read is None:
        house.count.event("http_malformed")
        return house.pages.refuse(400, request, keep=keep)
    asker = Asker(client.address, profile, policy, house.now())
    ruling = asker.request(request.method.decode("ascii"), read)
    verdict = ruling.verdict
    if verdict.blocked:
        house.count.verdict("http", verdict)
        house.count.event("notices")
        return house.pages.block(verdict, ruling.subject, asker.now, request, keep=keep)
    if verdict.action is not Action.WARN or verdict.match is None:
        house.count.verdict("http", verdict)
        return None
    return _warned(client, asker, ruling, request, keep=keep)


def _warned(client: Client, asker: Asker, ruling: Ruling, request: Request, *, keep: bool) -> bytes | None:
    """Return the warning, or None to whom it was shown."""
    house, verdict, match = client.house, ruling.verdict, ruling.verdict.match
    if match is None:
        return None
    who = asker.address, ruling.host, match.listing.id, asker.now
    if house.seen.shown(_shown(request), *who):
        noted = dataclasses.replace(match, action=Action.FLAG)
        house.count.verdict("http", dataclasses.replace(verdict, match=noted))
        return None
    house.count.verdict("http", verdict)
    cookie = house.seen.cookie(*who, secure=False) if _is_visit(request) else None
    return house.pages.warn(verdict, ruling.subject, asker.now, request, cookie, keep=keep)


def _shown(request: Request) -> list[str]:
    """Return the values of our own cookie."""
    pairs = [pair.strip().partition(b"=") for value in values(request, b"cookie") for pair in value.split(b";")]
    return [value.decode("latin-1") for name, _, value in pairs if name == _COOKIE.encode()]


def _is_visit(request: Request) -> bool:
    """Tell whether a person looks at the answer: a picture inside a page must not say yes in their place."""
    accept = b", ".join(values(request, b"accept")) or b"*/*"
    aim = (values(request, b"sec-fetch-dest") or [b"document"])[0]
    return request.method == b"GET" and aim == b"document" and (accept.startswith(b"*/*") or b"text/html" in accept)
