"""What is said in the place of an origin, as bytes."""

from __future__ import annotations

import pytest

from filterproxy.core.model import Verdict
from filterproxy.gateway.pages import Pages, languages, values
from filterproxy.gateway.requests import Request
from filterproxy.notice.render import Notices
from filterproxy.notice.token import Sealer
from filterproxy.settings.tables import Operator
from tests.gateway.street import PRIVATE, fields
from tests.policies import NOW

PAGES = Pages(Notices(Operator(), "http://portal.example", Sealer(PRIVATE.public_key().public_bytes_raw())))


def request(method: bytes = b"GET", minor: int = 1, *given: tuple[bytes, bytes]) -> Request:
    return Request(method, b"/", minor, list(given))


@pytest.mark.parametrize(("of", "keep", "connection", "bodied"), [
    (request(), True, None, True), (request(), False, "close", True), (request(minor=0), True, "keep-alive", True),
    (request(minor=0), False, "close", True), (request(b"HEAD"), True, None, False), (None, False, "close", True),
])  # fmt: skip
def test_a_page_is_a_whole_response(of, keep, connection, bodied):
    """With its length and what becomes of the connection; without a body in answer to a HEAD."""
    whole = PAGES.refuse(403, of, keep=keep)
    head, _, body = whole.partition(b"\r\n\r\n")
    found = fields(head + b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert found.get("connection") == connection
    assert bool(body) is bodied
    assert found.get("content-length") == (str(len(body)) if bodied else None)
    assert found["date"].endswith("GMT")


def test_a_notice_is_one_too():
    """And so is what takes its place where a list could not judge."""
    whole = PAGES.block(Verdict(), "http://a.example/", NOW, request(), keep=True)
    assert int(fields(whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")["content-length"]) == len(
        whole.split(b"\r\n\r\n", 1)[1]
    )


def test_the_persons_language_is_read():
    """From all fields of that name, whatever their spelling."""
    of = request(b"GET", 1, (b"accept-LANGUAGE", b"de"), (b"X", b"y"), (b"Accept-Language", b"fr;q=0.5"))
    assert languages(of) == "de, fr;q=0.5"
    assert values(of, b"x") == [b"y"]
