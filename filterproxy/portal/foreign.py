"""Requests for hosts that are not ours: DNS answered with our address in the place of a blocked site."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from filterproxy.core import names, urls
from filterproxy.core.decide import decide, strictest
from filterproxy.core.model import Question
from filterproxy.core.model import Request as Asked
from filterproxy.notice.render import Answer
from filterproxy.settings import Settings
from filterproxy.settings.base import split_address

from .networks import Networks
from .parts import Parts

_HOST = re.compile(r"[^\x00-\x20\x7f-\U0010ffff/\\?#@]+")


class OwnHost:
    """Lets requests for the portal's own hosts through and answers all others with the notice, or 421.

    The portal's own are the hosts of `portal.url` and `portal.names`, localhost, the addresses it listens on and
    those that DNS gives for blocked names. The Host field is the client's word, and no more than a notice follows:
    for those whom we filter alone, and for names alone that DNS blocks. Otherwise anybody on the Internet could ask
    here, page by page, what is on a confidential list.
    """

    def __init__(self, app: ASGIApp, parts: Parts) -> None:
        self._app, self._parts = app, parts
        self._own = own_hosts(parts.settings)
        self._served = Networks((*parts.settings.dns.clients, *parts.settings.gateway.clients))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        hosts = Headers(scope=scope).getlist("host")
        url = _url(scope, hosts[0]) if len(hosts) == 1 else None
        if url is not None and self._is_own(url.host, scope):
            return await self._app(scope, receive, send)
        answer = self._parts.notices.refused(400) if url is None else self._answer(url, scope)
        return await Response(answer.body, answer.status, dict(answer.headers))(scope, receive, send)

    def _is_own(self, host: str, scope: Scope) -> bool:
        server = scope.get("server")
        return host in self._own or (server is not None and host == names.host(str(server[0])))

    def _answer(self, url: urls.Url, scope: Scope) -> Answer:
        """Return the notice for what the client would be refused at DNS, and there alone."""
        policy, now, notices = self._parts.policy(), self._parts.now(), self._parts.notices
        languages = Headers(scope=scope).get("accept-language", "")
        client = str(scope["client"][0]) if scope.get("client") else ""
        profile = policy.profile_of(client) if client in self._served else None
        if profile is None:
            return notices.refused(403, languages=languages)
        site = strictest(decide(Question(profile, url.host, kind), policy, now) for kind in ("A", "AAAA"))
        if not site.blocked:
            return notices.refused(421, languages=languages)  # DNS leads nobody here; the page is not even looked at
        page = decide(Asked(profile, scope["method"], url), policy, now)
        listed = page.blocked and page.unavailable is None
        self._parts.count.event("notices")
        return notices.block(page if listed else site, url.text if listed else url.host, now, languages=languages)


def own_hosts(settings: Settings) -> frozenset[str]:
    """Return the canonical hosts that are the portal's own."""
    listen, _ = split_address(settings.portal.listen)
    url = urls.canonical(settings.portal.url)
    given = (*settings.portal.names, listen, *settings.dns.notice_addresses, "localhost", "127.0.0.1", "::1")
    found = {names.host(name) for name in given} | ({url.host} if url else set())
    return frozenset(name for name in found if name)


def own_authorities(settings: Settings) -> frozenset[str]:
    """Return those hosts as origins name them: alone, with the port of `portal.url`, and with the listener's."""
    url = urls.canonical(settings.portal.url)
    ports = {split_address(settings.portal.listen)[1]} | ({url.effective_port} if url else set())
    hosts = own_hosts(settings)
    return hosts | {f"{host}:{port}" for host in hosts for port in ports}


def _url(scope: Scope, host: str) -> urls.Url | None:
    """Return the URL that was asked for; None where the Host field is none."""
    if not _HOST.fullmatch(host):
        return None
    target = scope.get("raw_path") or scope["path"].encode()
    if query := scope.get("query_string", b""):
        target += b"?" + query
    return urls.canonical(f"{scope.get('scheme', 'http')}://{host}{target.decode('latin-1')}")
