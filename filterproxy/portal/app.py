"""The portal's application: routes, and what stands around them."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from filterproxy import __version__

from .appeals import AppealPages
from .arrival import Arrival
from .asgi import BodyLimit, Safe
from .captive import add_captive_api
from .foreign import OwnHost
from .pages import Pages
from .parts import Parts
from .transparency import TransparencyPages


def create_app(parts: Parts) -> FastAPI:
    """Return the portal. Nothing is opened here; `parts` must stay usable as long as the application serves."""
    pages = Pages(parts.settings)
    app = FastAPI(
        title="filterproxy portal", version=__version__, description="Notices, appeals and the public record.",
        openapi_url="/api/openapi.json", docs_url=None, redoc_url=None,
        middleware=[
            Middleware(Safe, pages), Middleware(Arrival, parts.settings), Middleware(OwnHost, parts),
            Middleware(BodyLimit, pages),
        ],
    )  # fmt: skip

    async def http_error(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        return pages.message(request, status, headers)

    app.add_exception_handler(HTTPException, http_error)
    app.include_router(AppealPages(parts, pages).router())
    app.include_router(TransparencyPages(parts, pages).router())
    _plain_routes(app, parts, pages)
    add_captive_api(app, parts)
    return app


def _plain_routes(app: FastAPI, parts: Parts, pages: Pages) -> None:
    @app.get("/", include_in_schema=False)
    async def home() -> RedirectResponse:
        return RedirectResponse("/notice", 307)

    @app.get("/notice", response_class=HTMLResponse, summary="What a block means", tags=["notice"])
    async def notice(request: Request) -> Response:
        return pages.page("about", request)

    @app.get("/static/portal.css", include_in_schema=False)
    async def style() -> Response:
        # The address holds a digest of the content, so it may be kept for ever.
        return Response(pages.style, 200, {"Cache-Control": "public, max-age=31536000, immutable"}, "text/css")

    @app.get("/healthz", response_class=PlainTextResponse, summary="Whether the portal answers", tags=["health"])
    async def healthz() -> str:
        return "ok\n"

    @app.get("/readyz", response_class=PlainTextResponse, summary="Whether a policy is in force", tags=["health"])
    async def readyz() -> Response:
        # Not whether the database answers: without it there are still notices, and people are told to come back.
        try:
            parts.policy()
        except Exception:  # noqa: BLE001 - whatever keeps us from a policy, we are not ready
            return PlainTextResponse("not ready\n", 503)
        return PlainTextResponse("ready\n")
