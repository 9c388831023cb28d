"""The portal's pages: templates, words and the one stylesheet, all from the package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from filterproxy.notice.headers import content_policy, page_headers
from filterproxy.notice.language import Catalogue, catalogues, choose
from filterproxy.settings import Settings

POLICY = content_policy(style="'self'", form_action="'self'")
# Not no-referrer: with that a browser sends `Origin: null`, and a post from our own page would look like another's.
HEADERS = page_headers(POLICY, referrer="same-origin")
_PAGES = ("about", "appeal", "receipt", "status", "message", "transparency")


class Pages:
    """Makes the portal's pages. Templates are compiled once, here."""

    def __init__(self, settings: Settings) -> None:
        self._operator = settings.operator
        self._languages = catalogues("filterproxy.notice", "filterproxy.portal")
        environment = Environment(
            loader=ChoiceLoader([PackageLoader("filterproxy.portal"), PackageLoader("filterproxy.notice")]),
            autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip
        self._templates = {name: environment.get_template(f"{name}.html") for name in _PAGES}
        shared = files("filterproxy.notice").joinpath("style.css").read_bytes()
        self.style = shared + files("filterproxy.portal").joinpath("static", "portal.css").read_bytes()
        self._style_url = f"/static/portal.css?v={hashlib.sha256(self.style).hexdigest()[:16]}"

    def words(self, request: Request) -> Catalogue:
        """Return the words of the language that the browser asks for."""
        return choose(request.headers.get("accept-language", ""), self._languages)

    def page(
        self, name: str, request: Request, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> Response:
        """Return the page `name` filled with `values`."""
        t = self.words(request)
        body = self._templates[name].render(
            t=t, operator=self._operator, style_url=self._style_url, path=request.url.path, **values
        )
        own = {"Content-Language": t.language, "Vary": "Accept-Language"} | dict(headers or {})
        return Response(body, status, own, "text/html")

    def message(self, request: Request, status: int, headers: Mapping[str, str] | None = None) -> Response:
        """Return the short page for an HTTP status."""
        t = self.words(request)
        known = status if f"refused.title_{status}" in t else 500 if status >= 500 else 400
        title, text = t(f"refused.title_{known}"), t(f"refused.text_{known}")
        return self.page("message", request, status=status, headers=headers, title=title, text=text)
