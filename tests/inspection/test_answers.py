"""What is said in the place of an origin."""

from __future__ import annotations

from filterproxy.inspection.answers import response
from filterproxy.notice.render import Answer


def test_an_answer_keeps_its_fields_and_gets_its_length():
    """Framing is the sender's business."""
    found = response(Answer(451, (("Link", "<x>"), ("A", "b")), b"page"))
    assert (found.status_code, found.headers["content-length"], found.headers["link"]) == (451, "4", "<x>")


async def test_an_answer_tells_its_language(world):
    """Accept-Language is handed on."""
    reply = await world.get("http://pages.example:PORT/listed", "Accept-Language: en-GB")
    assert reply.headers["content-language"] == "en"
