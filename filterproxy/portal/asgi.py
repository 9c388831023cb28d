"""What stands around every request, as plain ASGI (Starlette's BaseHTTPMiddleware breaks context variables)."""

from __future__ import annotations

import asyncio
import logging
import traceback

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .pages import HEADERS, Pages

BODY_LIMIT = 256 * 1024
"""Bytes of a request body: a form filled well beyond every limit, percent-encoded, so that each field can say so."""
REST_LIMIT = 4 * 1024 * 1024
"""Bytes beyond it that are still read and let go: a browser that is cut off while it sends never shows our answer."""
BODY_SECONDS = 20
_OF_A_PAGE = ("Content-Type", "Content-Language", "Vary")
_log = logging.getLogger("filterproxy.portal")


class Safe:
    """Sets the headers on every answer, answers HEAD as GET without the body, and lets no exception out.

    What fails is logged by its kind and place alone: the text of an exception may hold what a person typed.
    """

    def __init__(self, app: ASGIApp, pages: Pages) -> None:
        self._app, self._pages = app, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started = False
        head = scope["method"] == "HEAD"

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS:
                    if name not in _OF_A_PAGE:
                        headers.setdefault(name, value)
            elif head:
                message = {**message, "body": b""}
            await send(message)

        inner = {**scope, "method": "GET"} if head else scope
        try:
            return await self._app(inner, receive, guarded)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the person gets a page and the log no address
            last = traceback.extract_tb(exc.__traceback__)[-1]
            _log.error("a page failed: %s at %s:%s", type(exc).__name__, last.filename, last.lineno)
            if not started:
                await self._pages.message(Request(scope), 500)(inner, receive, guarded)
            return None


class BodyLimit:
    """Reads a body before the pages see it: at most BODY_LIMIT bytes (413) within BODY_SECONDS (408)."""

    def __init__(self, app: ASGIApp, pages: Pages, *, seconds: float = BODY_SECONDS) -> None:
        self._app, self._pages, self._seconds = app, pages, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return await self._app(scope, receive, send)
        try:
            async with asyncio.timeout(self._seconds):
                body = await _read(scope, receive)
        except TimeoutError:
            return await self._refuse(408, scope, receive, send)
        if body is None:
            return await self._refuse(413, scope, receive, send)
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()  # only a disconnect is left to come
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        return await self._app(scope, replay, send)

    async def _refuse(self, status: int, scope: Scope, receive: Receive, send: Send) -> None:
        await self._pages.message(Request(scope), status, {"Connection": "close"})(scope, receive, send)


async def _read(scope: Scope, receive: Receive) -> bytes | None:
    """Return the whole body, or None where it is larger than BODY_LIMIT or broke off."""
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value[:12]) > BODY_LIMIT + REST_LIMIT):
            return None
    body, size = bytearray(), 0
    while size <= BODY_LIMIT + REST_LIMIT:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size += len(message.get("body", b""))
        if size <= BODY_LIMIT:
            body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body) if size <= BODY_LIMIT else None
    return None
