"""From where a request comes and what it is for, made plain before anything judges it."""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from filterproxy.settings import Settings

from .networks import Networks

_ABSOLUTE = re.compile(rb"(https?)://([^/]*)(.*)", re.IGNORECASE | re.DOTALL)


class Arrival:
    """Puts into the scope the client and the host that count, in place of those that stand at first sight."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._proxies = Networks(settings.portal.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = self._from_its_client(in_origin_form(scope))
        await self._app(scope, receive, send)

    def _from_its_client(self, scope: Scope) -> Scope:
        """Return the scope with the client that a trusted proxy names: the last hop of X-Forwarded-For.

        That hop the proxy wrote itself. What stands before it, X-Forwarded-Host and X-Forwarded-Proto may be
        anybody's word and are not read. A hop that is no address stays as it is: nobody serves it.
        """
        client = scope.get("client")
        hops = Headers(scope=scope).getlist("x-forwarded-for")
        if not client or not hops or str(client[0]) not in self._proxies:
            return scope
        return {**scope, "client": (hops[-1].rpartition(",")[2].strip(), 0)}


def in_origin_form(scope: Scope) -> Scope:
    """Return the scope of an absolute-form request as that of an origin-form one (RFC 9112, section 3.2.2).

    The authority that the request line names takes the place of the Host field, whatever that says.
    """
    found = _ABSOLUTE.fullmatch(scope.get("raw_path") or b"")
    if found is None:
        return scope
    path = found[3] or b"/"
    rest = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {
        **scope, "scheme": found[1].decode().lower(), "raw_path": path, "path": unquote(path.decode("latin-1")),
        "headers": [(b"host", found[2]), *rest],
    }  # fmt: skip
