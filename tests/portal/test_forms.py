"""What people type is understood, kept whole, or named as wrong beside its field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

from filterproxy.core.appeals import CONTACT_LIMIT, MESSAGE_LIMIT, SUBJECT_LIMIT
from filterproxy.portal.forms import Draft, clean, from_here, read, subject_of


def request(body: bytes = b"", **headers: str) -> Request:
    fields = {"content-type": "application/x-www-form-urlencoded", "host": "notice.example"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "path": "/appeal", "headers": raw}, receive)


@pytest.mark.parametrize(("typed", "subject"), [
    ("www.a.example", "www.a.example"),
    (" WWW.A.example. ", "www.a.example"),
    ("https://A.example/x/../y?q=1#f", "https://a.example/y?q=1"),
    ("a.example/x", "http://a.example/x"),
    ("a.example:8080", "http://a.example:8080/"),
    ("192.0.2.1", "192.0.2.1"),
    ("http://[2001:db8::1]/x", "http://[2001:db8::1]/x"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("hello", None),
    ("hello world", None),
    ("why is this blocked?", None),
    ("please.open my page", None),
    ("javascript:alert(1)", None),
    ("ftp://a.example/x", None),
    ("mailto:me@a.example", None),
    ("me@a.example", None),
    ("https://a.example/@me", "https://a.example/@me"),
    ("file:///etc/passwd", None),
    ("http://", None),
    ("..", None),
    ("a.example/" + "é" * 8000, None),  # longer than may be kept once it is spelled out
])  # fmt: skip
def test_a_typed_address_is_a_page_or_a_site_or_none(typed, subject):
    """Bare hosts mean the site, all else the page; words are no addresses."""
    assert subject_of(typed) == subject


@given(st.text(max_size=400))
def test_any_text_is_an_address_or_none(text):
    """Whatever is typed, the answer is a subject that can be kept, or None; taken again it stays the same."""
    found = subject_of(clean(text))
    assert found is None or (0 < len(found) <= SUBJECT_LIMIT and subject_of(found) == found)


@given(st.text(max_size=400))
def test_cleaning_leaves_text_and_nothing_else(text):
    """No control character, no odd line end, no change when cleaned again."""
    once = clean(text)
    assert clean(once) == once
    assert "\r" not in once
    assert "\x00" not in once
    once.encode()


def test_line_ends_count_once():
    """A browser sends CR LF; what the person saw as one character counts as one."""
    assert clean("a\r\nb\rc\n") == "a\nb\nc"


@pytest.mark.parametrize(("draft", "wrong"), [
    (Draft(address="a.example", message="x"), set()),
    (Draft(), {"address", "message"}),
    (Draft(address="nothing", message="x"), {"address"}),
    (Draft(address="a.example/" + "x" * SUBJECT_LIMIT, message="x"), {"address"}),
    (Draft(address="a.example/" + "é" * 8000, message="x"), {"address"}),
    (Draft(address="a.example", message="x" * MESSAGE_LIMIT, contact="y" * CONTACT_LIMIT), set()),
    (Draft(address="a.example", message="x" * (MESSAGE_LIMIT + 1)), {"message"}),
    (Draft(address="a.example", message="x", contact="y" * (CONTACT_LIMIT + 1)), {"contact"}),
])  # fmt: skip
def test_what_is_wrong_is_named_by_field(draft, wrong):
    """Each field has its own reason; what is right has none."""
    assert set(draft.problems(with_token=False)) == wrong
    assert set(draft.problems(with_token=True)) == wrong - {"address"}


@pytest.mark.parametrize(("address", "reason"), [
    ("nothing", "appeal.address_wrong"),
    ("a.example/" + "x" * SUBJECT_LIMIT, "appeal.address_long"),
    ("a.example/" + "é" * 4000, "appeal.address_long"),  # it is within the limit, its canonical spelling is not
])  # fmt: skip
def test_a_long_address_is_called_long(address, reason):
    """Who copied a real address that is too long is not told that it is none."""
    assert Draft(address=address, message="x").problems(with_token=False) == {"address": reason}


def test_a_draft_keeps_what_was_typed_out_of_its_representation():
    """A traceback that prints a draft shows nothing of it."""
    assert "secret" not in repr(Draft("secret", "secret", "secret", "secret"))


@pytest.mark.parametrize(("headers", "ours"), [
    ({}, True),  # a program
    ({"sec_fetch_site": "same-origin"}, True),
    ({"sec_fetch_site": "none"}, True),
    ({"sec_fetch_site": "cross-site", "origin": "http://notice.example"}, False),
    ({"sec_fetch_site": "same-site"}, False),
    ({"origin": "http://notice.example"}, True),
    ({"origin": "https://NOTICE.example"}, True),  # TLS may end before us
    ({"origin": "http://notice.example:81"}, False),
    ({"origin": "http://other.example"}, False),
    ({"origin": "http://notice.example", "host": "127.0.0.1:8000"}, True),  # a TLS terminator set its own Host
    ({"origin": "https://help.example:8443", "host": "10.0.0.1"}, True),
    ({"origin": "http://other.example", "host": "127.0.0.1:8000"}, False),
    ({"origin": "null"}, False),
    ({"origin": "null", "host": "null"}, False),
    ({"origin": "http://[x"}, False),
])  # fmt: skip
def test_a_post_from_another_site_is_told_apart(headers, ours):
    """Only a page of ours, or a program without a browser's headers, may file."""
    assert from_here(request(**headers), {"notice.example", "help.example:8443"}) is ours


async def test_a_form_is_read_with_its_first_values():
    """Fields are decoded, empty ones kept, and of two of a name the first counts."""
    fields = await read(request(b"message=a%20b+c&contact=&message=other&x=%ff"))
    assert fields == {"message": "a b c", "contact": "", "x": "\ufffd"}


@pytest.mark.parametrize(("body", "kind", "status"), [
    (b"--x\r\n", "multipart/form-data; boundary=x", 415),
    (b"{}", "application/json", 415),
    (b"a=1&" * 100, "application/x-www-form-urlencoded", 400),
])  # fmt: skip
async def test_what_is_no_form_of_ours_is_refused(body, kind, status):
    """Another kind of body is 415; a hundred fields are 400."""
    with pytest.raises(HTTPException) as caught:
        await read(request(body, content_type=kind))
    assert caught.value.status_code == status
