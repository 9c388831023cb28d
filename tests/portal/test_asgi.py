"""What stands around every request holds, whatever is inside."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.testclient import TestClient

from filterproxy.portal.asgi import BODY_LIMIT, REST_LIMIT, BodyLimit, Safe
from filterproxy.portal.pages import Pages


@pytest.fixture
def pages(world) -> Pages:
    return Pages(world.parts.settings)


async def broken(scope, receive, send):
    raise RuntimeError("http://a.example/listed")


async def echo(scope, receive, send):
    body = await Request(scope, receive).body()
    await PlainTextResponse(body)(scope, receive, send)


def test_a_failure_is_a_page_and_its_text_stays_out_of_the_log(pages, caplog):
    """What raises is answered 500 with a page; the log has its kind and place, never its text."""
    with caplog.at_level(logging.DEBUG):
        answer = TestClient(Safe(broken, pages)).get("/listed")
    assert answer.status_code == 500
    assert "Something went wrong here" in answer.text
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("filterproxy"))
    assert "RuntimeError" in ours
    assert "listed" not in ours


def test_a_failure_in_the_midst_of_an_answer_ends_it(pages):
    """Where the answer had begun, no second one is begun."""

    async def half(scope, receive, send):
        async def chunks() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError

        await StreamingResponse(chunks())(scope, receive, send)

    answer = TestClient(Safe(half, pages)).get("/")
    assert (answer.status_code, answer.text) == (200, "half")


def test_every_answer_has_the_headers_and_keeps_its_own(pages):
    """Headers are added where an answer has none of that name."""

    async def own(scope, receive, send):
        await PlainTextResponse("x", headers={"Cache-Control": "public"})(scope, receive, send)

    headers = TestClient(Safe(own, pages)).get("/").headers
    assert headers["cache-control"] == "public"
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "default-src 'none'" in headers["content-security-policy"]


def test_head_is_get_without_the_body(pages):
    """HEAD has the length and headers of GET, and nothing after them."""

    async def method(scope, receive, send):
        await PlainTextResponse(scope["method"])(scope, receive, send)

    answer = TestClient(Safe(method, pages)).head("/")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "3")


SIZES = [(0, 200), (BODY_LIMIT, 200), (BODY_LIMIT + 1, 413), (BODY_LIMIT + REST_LIMIT + 100_000, 413)]


@pytest.mark.parametrize(("size", "status"), SIZES)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_has_its_limit(pages, size, status, chunked):
    """A body up to the limit passes unchanged, announced or in chunks; a larger one is 413."""
    body = b"x" * size
    content = (body[at : at + 65_536] for at in range(0, size, 65_536)) if chunked else body
    answer = TestClient(BodyLimit(echo, pages)).post("/", content=content)
    assert answer.status_code == status
    assert status == 413 or answer.content == body


@pytest.mark.parametrize("length", ["-1", "x", "9" * 5000])
def test_a_length_that_is_none_is_refused(pages, length):
    """A Content-Length that is no number of ours is 413, not an exception."""
    assert TestClient(BodyLimit(echo, pages)).post("/", headers={"content-length": length}).status_code == 413


async def test_a_slow_body_is_not_waited_for(pages):
    """Whoever dribbles a body gets 408 instead of a place to wait."""
    sent = []

    async def receive():
        await anyio.sleep_forever()

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    await BodyLimit(echo, pages, seconds=0.05)(scope, receive, send)
    assert sent[0]["status"] == 408


@pytest.mark.parametrize("rest", [0, REST_LIMIT, 100 * REST_LIMIT])
async def test_the_rest_of_a_large_body_is_read_up_to_a_limit(pages, rest):
    """A browser has sent all before it is answered, or it would show an error of its own; nobody sends for ever."""
    left, sent = [BODY_LIMIT + 1 + rest], []

    async def receive():
        part = min(left[0], 65_536)
        left[0] -= part
        return {"type": "http.request", "body": bytes(part), "more_body": left[0] > 0}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    await BodyLimit(echo, pages)(scope, receive, send)
    assert sent[0]["status"] == 413
    assert left[0] == 0 if rest <= REST_LIMIT - 65_536 else left[0] >= rest - REST_LIMIT - 65_536


async def test_half_a_body_is_not_a_form(pages):
    """What breaks off is refused, not filed."""

    async def receive():
        return given.pop(0)

    async def send(message):
        sent.append(message)

    given = [{"type": "http.request", "body": b"message=It+is", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[dict[str, object]] = []
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    await BodyLimit(echo, pages)(scope, receive, send)
    assert sent[0]["status"] == 413


async def test_what_is_no_request_passes_through(pages):
    """Start-up messages of the server reach the application."""
    seen = []

    async def nothing(*_):
        return {}

    async def app(scope, receive, send):
        seen.append(scope["type"])

    for around in (Safe(app, pages), BodyLimit(app, pages)):
        await around({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan", "lifespan"]
