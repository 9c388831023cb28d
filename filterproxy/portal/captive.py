"""The captive portal API (RFC 8908): a device that asks learns that nobody is held back, and where the notice is.

Its address reaches devices by DHCP or router advertisements (RFC 8910). Without it phones find out by asking for
pages of their makers, which a filter had better leave alone.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import JSONResponse, Response

from .parts import Parts


class Captive(JSONResponse):
    """The media type of RFC 8908, section 5."""

    media_type = "application/captive+json"


def add_captive_api(app: FastAPI, parts: Parts) -> None:
    """Add the route, where the settings ask for it."""
    if not parts.settings.portal.captive_api:
        return
    said = {"captive": False, "venue-info-url": f"{parts.settings.portal.url}/notice"}

    @app.get("/captive-portal/api", response_class=Captive, summary="The state of this network", tags=["network"])
    async def captive_portal() -> Response:
        return Captive(said, headers={"Cache-Control": "private"})
