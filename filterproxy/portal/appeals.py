"""Appeals as people meet them: the form, the receipt, the status.

Nothing is judged when an appeal is filed: the reply is the same, and takes as long, whether an address is listed
or not. No page here prints an address that came from a token, for the person at the screen may be another one now.
"""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from filterproxy.core.appeals import Origin
from filterproxy.errors import StoreError, TokenError
from filterproxy.notice.token import Blocked
from filterproxy.store import Filed

from . import forms
from .foreign import own_authorities
from .forms import Draft
from .limits import Limiter
from .pages import Pages
from .parts import Parts

FILED_PER_HOUR = 10
"""Appeals that one client network may file in an hour."""
ASKED_PER_HOUR = 120
"""Times that one client network may ask for a status in an hour."""
_HOUR = timedelta(hours=1)
_FIELDS = {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}
_BODY = {"requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": _FIELDS}}}


class AppealPages:
    """The handlers of /appeal and /appeal/status."""

    def __init__(self, parts: Parts, pages: Pages) -> None:
        self._parts, self._pages = parts, pages
        self._own = own_authorities(parts.settings)
        self._filing = Limiter(FILED_PER_HOUR, _HOUR, parts.mac_key)
        self._asking = Limiter(ASKED_PER_HOUR, _HOUR, parts.mac_key)

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(default_response_class=HTMLResponse, tags=["appeals"])
        router.add_api_route("/appeal", self.form, methods=["GET"], summary="The appeal form")
        router.add_api_route("/appeal", self.file, methods=["POST"], summary="File an appeal", openapi_extra=_BODY)
        router.add_api_route("/appeal/status", self.ask, methods=["GET"], summary="The status form")
        router.add_api_route(
            "/appeal/status", self.status, methods=["POST"], summary="The status of an appeal", openapi_extra=_BODY
        )
        return router

    async def form(self, request: Request) -> Response:
        """Show the empty form, for someone who types the address."""
        return self._form(request, Draft(), None)

    async def file(self, request: Request) -> Response:
        """Take a notice's token and show the form for it, or file what the form holds."""
        fields = await forms.read(request)
        draft = Draft.of(fields)
        blocked = self._open(draft.token)
        if draft.token and blocked is None and not draft.address:
            return self._form(request, draft, None, banner="appeal.stale", status=400)
        if "message" not in fields:
            return self._form(request, draft, blocked)
        if not forms.from_here(request, self._own):
            return self._form(request, draft, blocked, banner="appeal.elsewhere")
        problems = draft.problems(with_token=blocked is not None)
        if problems:
            return self._form(request, draft, blocked, problems=problems, status=422)
        if not self._filing.allow(_client(request), self._parts.now()):
            return self._form(request, draft, blocked, banner="appeal.limited", status=429)
        try:
            filed = await run_in_threadpool(self._keep, draft, blocked)
        except StoreError:
            return self._form(request, draft, blocked, banner="appeal.away", status=503)
        days = max(1, round(self._parts.settings.alerts.overdue / timedelta(days=1)))
        return self._pages.page("receipt", request, receipt=filed.receipt, secret=filed.secret, days=days)

    async def ask(self, request: Request) -> Response:
        """Show the form that asks for receipt number and secret."""
        return self._status(request)

    async def status(self, request: Request) -> Response:
        """Show how an appeal stands. A wrong secret and an unknown number get the same answer."""
        fields = await forms.read(request)
        receipt = forms.clean(fields.get("receipt", ""))[:200]
        secret = forms.clean(fields.get("secret", ""))[:200]
        if not receipt or not secret:
            return self._status(request, receipt, problem="status.incomplete", status=422)
        if not self._asking.allow(_client(request), self._parts.now()):
            return self._status(request, receipt, problem="status.limited", status=429)
        try:
            found = await run_in_threadpool(self._parts.store.appeal_by_secret, receipt, secret)
        except StoreError:
            return self._status(request, receipt, problem="status.away", status=503)
        if found is None:
            return self._status(request, receipt, problem="status.unknown", status=404)
        return self._pages.page("status", request, receipt=receipt, problem="", found=found)

    def _open(self, token: str) -> Blocked | None:
        if not token:
            return None
        try:
            return self._parts.opener.open(token, self._parts.now())
        except TokenError:
            self._parts.count.event("tokens_failed")
            return None

    def _keep(self, draft: Draft, blocked: Blocked | None) -> Filed:
        """File the appeal. What a token says is a claim: a list that we do not know is left out."""
        subject = blocked.subject if blocked else forms.subject_of(draft.address)
        known = {listing.id for listing in self._parts.policy().listings}
        return self._parts.store.file_appeal(
            subject or "",
            self._parts.now(),
            message=draft.message,
            contact=draft.contact,
            reference=blocked.reference if blocked else "",
            origin=Origin.NOTICE if blocked else Origin.TYPED,
            list_id=blocked.list_id if blocked and blocked.list_id in known else None,
        )

    def _form(
        self, request: Request, draft: Draft, blocked: Blocked | None, *,
        problems: dict[str, str] | None = None, banner: str = "", status: int = 200,
    ) -> Response:  # fmt: skip
        """Return the form with all that was typed. A token that cannot be opened is not carried on."""
        headers = {"Retry-After": "3600" if status == 429 else "300"} if status in (429, 503) else {}
        return self._pages.page(
            "appeal", request, status=status, headers=headers, draft=draft, blocked=blocked,
            problems=problems or {}, banner=banner,
        )  # fmt: skip

    def _status(self, request: Request, receipt: str = "", *, problem: str = "", status: int = 200) -> Response:
        headers = {"Retry-After": "3600" if status == 429 else "300"} if status in (429, 503) else {}
        return self._pages.page(
            "status", request, status=status, headers=headers, receipt=receipt, problem=problem, found=None
        )


def _client(request: Request) -> str:
    return request.client.host if request.client else ""
