"""What is said in the place of an origin: pages of the notice, as mitmproxy's responses."""

from __future__ import annotations

from mitmproxy import http

from filterproxy.core.rulings import Client, Ruling
from filterproxy.notice.render import Answer, Notices

_CLOSED_TARGET = "The proxy does not connect to this address or port."


class Answers:
    """Makes the answers to a flow, in its person's language; a HEAD gets no body."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices

    def block(self, flow: http.HTTPFlow, client: Client, ruling: Ruling) -> http.Response:
        """Return the notice."""
        return response(self._notices.block(
            ruling.verdict, ruling.subject, client.now, languages=_languages(flow), head=_is_head(flow)
        ))  # fmt: skip

    def warn(self, flow: http.HTTPFlow, client: Client, ruling: Ruling, cookie: str | None) -> http.Response:
        """Return the warning; with `cookie`, a whole Set-Cookie value, it offers a way on."""
        return response(self._notices.warning(
            ruling.verdict, ruling.subject, client.now, proceed_cookie=cookie,
            languages=_languages(flow), head=_is_head(flow),
        ))  # fmt: skip

    def refuse(self, flow: http.HTTPFlow, status: int) -> http.Response:
        """Return a short page."""
        return response(self._notices.refused(status, languages=_languages(flow), head=_is_head(flow)))

    def closed_target(self, flow: http.HTTPFlow) -> http.Response:
        """Return a short page for a target that may not be reached."""
        return response(self._notices.refused(403, _CLOSED_TARGET, languages=_languages(flow), head=_is_head(flow)))

    def error_page(self, status: int, *, head: bool = False) -> http.Response:
        """Return a short page in the place of mitmproxy's own, where there may be no request to ask."""
        reason = _CLOSED_TARGET if status == 403 else ""  # who is not served is answered before
        return response(self._notices.refused(status, reason, head=head))


def response(answer: Answer) -> http.Response:
    """Return an answer as mitmproxy sends it, with its length."""
    headers = [(name.encode(), value.encode()) for name, value in answer.headers]
    return http.Response.make(answer.status, answer.body, http.Headers(headers))


def _languages(flow: http.HTTPFlow) -> str:
    return str(flow.request.headers.get("accept-language", ""))


def _is_head(flow: http.HTTPFlow) -> bool:
    return flow.request.method == "HEAD"
