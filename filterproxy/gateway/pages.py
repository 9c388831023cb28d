"""What is said in the place of an origin, as bytes: the notice and its kin, with a length and no word of theirs."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from filterproxy.core.model import Verdict
    from filterproxy.notice.render import Answer, Notices

    from .requests import Request

CLOSED_TARGET: Final = "The proxy does not connect to this address or port."
FAILED: Final = "The filter could not judge this request, so it was not passed on."
ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Pages:
    """Makes whole responses in the language of who asked; a HEAD gets no body."""

    def __init__(self, notices: Notices) -> None:
        """Take who renders them."""
        self._notices = notices
        self._head = lru_cache(maxsize=1024)(_head)
        self._second, self._date = 0, b""

    def block(self, verdict: Verdict, subject: str, now: datetime, request: Request, *, keep: bool) -> bytes:
        """Return the notice for what was asked for, a canonical URL or a bare host."""
        return self._whole(
            self._notices.block(verdict, subject, now, languages=languages(request), head=is_head(request)),
            request, keep=keep,
        )  # fmt: skip

    def warn(
        self, verdict: Verdict, subject: str, now: datetime, request: Request, cookie: str | None, *, keep: bool
    ) -> bytes:
        """Return the warning; with `cookie`, a whole Set-Cookie value, it offers a way on."""
        answer = self._notices.warning(
            verdict, subject, now, proceed_cookie=cookie, languages=languages(request), head=is_head(request)
        )
        return self._whole(answer, request, keep=keep)

    def refuse(self, status: int, request: Request | None, *, keep: bool, reason: str = "") -> bytes:
        """Return a short page; `reason` is a fixed sentence. `request` is None where what came could not be read."""
        said = "" if request is None else languages(request)
        head = request is not None and is_head(request)
        return self._whole(self._notices.refused(status, reason, languages=said, head=head), request, keep=keep)

    def _whole(self, answer: Answer, request: Request | None, *, keep: bool) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True).encode()
        told = b"close" if not keep else b"keep-alive" if request is not None and not request.minor else b""
        connection = b"Connection: %b\r\n" % told if told else b""
        if request is not None and is_head(request):
            return b"%bDate: %b\r\n%b\r\n" % (self._head(answer.status, answer.headers), self._date, connection)
        return b"%bDate: %b\r\nContent-Length: %d\r\n%b\r\n%b" % (
            self._head(answer.status, answer.headers), self._date, len(answer.body), connection, answer.body,
        )  # fmt: skip


def languages(request: Request) -> str:
    """Return the Accept-Language of a request, empty where it has none."""
    return b", ".join(values(request, b"accept-language")).decode("latin-1")


def values(request: Request, wanted: bytes) -> list[bytes]:
    """Return the values of all fields of a name in lower case."""
    size = len(wanted)
    return [value for name, value in request.fields if len(name) == size and name.lower() == wanted]


def is_head(request: Request) -> bool:
    """Tell whether no body may answer it."""
    return request.method == b"HEAD"


def _head(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_phrase(status)}", *(f"{name}: {value}" for name, value in headers)]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
