"""The notice says who, why and how to object, and never where the person was."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import Basis, Listing, Verdict
from filterproxy.notice.render import Notices
from filterproxy.notice.token import Sealer
from filterproxy.settings.tables import Operator
from tests.notice.conftest import OPERATOR, PORTAL, blocked_by

PUBLIC = X25519PrivateKey.generate().public_key().public_bytes_raw()
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SUBJECT = "http://a.example/listed/place?q=secret"


def token_in(body: bytes) -> str:
    found = re.search(r'name="token" value="([^"]*)"', body.decode())
    assert found
    return found[1]


def headers_of(answer) -> dict[str, str]:
    assert len({name for name, _ in answer.headers}) == len(answer.headers)
    return dict(answer.headers)


class Outline(HTMLParser):
    """Collects every address that a page would load or lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "poster", "data") or (name == "href" and tag == "link"):
                self.loads.append(value)
            elif name in ("href", "action"):
                self.leads.append(value)


def test_the_notice_says_who_why_when_and_how_to_object(notices, opener, moment):
    """R1: operator, list, authority, category, basis, date, reference, both ways to object, and help."""
    answer = notices.block(blocked_by(appeal="appeals@board.example"), SUBJECT, moment)
    text = html.unescape(answer.body.decode())
    for words in (
        "This page is blocked", "Example <Net>", "List of <plays>", "Example Board", "Plays", "No law asks for it",
        "1 March 2026", f'action="{PORTAL}/appeal"', "mailto:appeals@board.example", "https://helpline.example/",
        "mailto:help@net.example",
    ):  # fmt: skip
        assert words in text, words
    facts = opener.open(token_in(answer.body), moment)
    assert (facts.list_id, facts.subject, facts.kind) == ("plays", SUBJECT, "url")
    assert facts.reference in text


def test_the_address_is_never_echoed(notices, moment):
    """Neither the page nor a header holds any part of the address, the matched entry or the provider's reference."""
    answer = notices.block(blocked_by(confidential=True), SUBJECT, moment)
    whole = answer.body.decode() + repr(answer.headers) + repr(answer)
    for part in ("a.example", "listed/place", "q=secret", "row-77"):
        assert part not in whole


def test_nothing_is_loaded_from_anywhere(notices, moment):
    """No script, no picture, no style sheet: the page holds all that it shows, in under 30 KB."""
    for answer in (
        notices.block(blocked_by(), "http://a.example/" + "x" * 8000, moment),
        notices.refused(502),
        notices.warning(blocked_by(), SUBJECT, moment, proceed_cookie="go=1"),
    ):
        outline = Outline(answer.body.decode())
        assert outline.loads == []
        assert "script" not in outline.tags
        assert "<!doctype html>" in answer.body.decode()
        assert len(answer.body) < 30_000


@pytest.mark.parametrize(("basis", "asked", "status"), [
    (Basis.LAW, 451, 451),
    (Basis.COURT, 451, 451),
    (Basis.VOLUNTARY, 403, 403),
    (Basis.VOLUNTARY, 451, 403),  # never said without a legal demand, whatever a list asks
    (Basis.SUBSCRIBER, 404, 404),
    (Basis.SUBSCRIBER, 200, 200),
])  # fmt: skip
def test_the_status_follows_the_list_and_451_is_only_for_the_law(notices, moment, basis, asked, status):
    """R2: each list has its status, and 451 means a legal demand."""
    assert notices.block(blocked_by(basis=basis, http_status=asked), SUBJECT, moment).status == status


def test_the_headers_name_who_implements_the_block(notices, moment):
    """R2: blocked-by names the operator, nothing may be kept, and the form may go to the portal alone."""
    headers = headers_of(notices.block(blocked_by(basis=Basis.LAW, http_status=451), SUBJECT, moment))
    assert headers["Link"] == '<https://net.example/>; rel="blocked-by"'
    assert headers["Cache-Control"] == "no-store"
    assert f"form-action {PORTAL};" in headers["Content-Security-Policy"]
    assert "style-src 'sha256-" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Robots-Tag"] == "noindex"


def test_a_portal_at_an_ipv6_address_may_be_posted_to(pair, moment):
    """A policy cannot name such an address; the form works all the same."""
    answer = Notices(OPERATOR, "http://[2001:db8::1]:8000", Sealer(pair[1])).block(blocked_by(), SUBJECT, moment)
    assert "form-action http:;" in headers_of(answer)["Content-Security-Policy"]


def test_blocked_by_is_the_portal_where_the_operator_has_no_site(pair, moment):
    """Without a web site of the operator's the link names the portal; odd characters cannot break the header."""
    for url, link in (("", PORTAL), ("https://nét.example/>\r\nX: y", "https://n%C3%A9t.example/%3E%0D%0AX:%20y")):
        answer = Notices(Operator(url=url), PORTAL, Sealer(pair[1])).block(blocked_by(), SUBJECT, moment)
        assert headers_of(answer)["Link"] == f'<{link}>; rel="blocked-by"'


def test_a_list_that_cannot_judge_is_503_and_says_when_to_come_back(notices, moment):
    """A fail-closed list that is away is no block: 503, Retry-After, no token."""
    answer = notices.block(Verdict(unavailable=Listing("plays", title="Plays")), SUBJECT, moment)
    assert answer.status == 503
    assert headers_of(answer)["Retry-After"] == "300"
    assert b"token" not in answer.body
    assert "Link" not in headers_of(answer)


def test_head_has_the_headers_and_no_body(notices, moment):
    """An answer to HEAD is the same without its body."""
    whole, head = (notices.block(blocked_by(), SUBJECT, moment, head=head) for head in (False, True))
    assert head.body == b""
    assert (head.status, head.headers) == (whole.status, whole.headers)
    assert notices.refused(403, head=True).body == b""


def test_a_host_is_called_a_site(notices, opener, moment):
    """A block by name says that the site is blocked, and its token says host."""
    answer = notices.block(blocked_by(), "a.example", moment)
    assert b"This site is blocked" in answer.body
    assert opener.open(token_in(answer.body), moment).kind == "host"


def test_an_address_too_long_for_a_token_leads_to_the_form(notices, moment):
    """Where no token fits, the page leads to the form that asks for the address."""
    answer = notices.block(blocked_by(), "http://a.example/" + "x" * 9000, moment)
    assert b'name="token"' not in answer.body
    assert f'href="{PORTAL}/appeal"'.encode() in answer.body


def test_what_is_not_known_is_left_out(notices, moment):
    """A list without authority, category and route has no empty rows, as with a profile's own entries."""
    answer = notices.block(
        blocked_by(title="Your own settings", authority="", category="", basis=Basis.SUBSCRIBER), SUBJECT, moment
    )
    text = answer.body.decode()
    assert "Who made the list" not in text
    assert "Whoever looks after this connection" in text
    assert "<dd></dd>" not in text


@pytest.mark.parametrize(("route", "link"), [
    ("https://board.example/appeals", "https://board.example/appeals"),
    ("mailto:appeals@board.example", "mailto:appeals@board.example"),
    ("appeals@board.example", "mailto:appeals@board.example"),
    ("javascript:alert(1)", None),
    ("Room 5, Main Street", None),
])  # fmt: skip
def test_the_owners_route_is_a_link_only_where_it_is_one(notices, moment, route, link):
    """A web or mail address is a link; anything else is shown as text."""
    page = notices.block(blocked_by(appeal=route), SUBJECT, moment).body.decode()
    leads = Outline(page).leads
    assert (link in leads) if link else (route not in leads and route in html.unescape(page))


def test_a_warning_leads_on_without_naming_the_address(notices, moment):
    """The way on is an empty reference, and only where a cookie can let the next request through."""
    answer = notices.warning(blocked_by(), SUBJECT, moment, proceed_cookie="go=1; Max-Age=60")
    assert headers_of(answer)["Set-Cookie"] == "go=1; Max-Age=60"
    assert "" in Outline(answer.body.decode()).leads
    assert b"a.example" not in answer.body
    closed = notices.warning(blocked_by(), SUBJECT, moment, proceed_cookie=None)
    assert "Set-Cookie" not in headers_of(closed)
    assert "" not in Outline(closed.body.decode()).leads


def test_a_warning_names_its_list_unless_that_is_confidential(notices, moment):
    """Who is asked to think first learns on whose word; of a confidential list nothing is said."""
    told, kept = (
        html.unescape(
            notices.warning(blocked_by(confidential=secret), SUBJECT, moment, proceed_cookie=None).body.decode()
        )
        for secret in (False, True)
    )
    for words in ("List of <plays>", "Example Board"):
        assert words in told
        assert words not in kept
    bare = notices.warning(blocked_by(title="", authority=""), SUBJECT, moment, proceed_cookie=None)
    assert b"<dl" not in bare.body


def test_a_page_says_that_it_depends_on_the_language(notices, moment):
    """A cache between us and the reader keeps one page a language."""
    for answer in (
        notices.block(blocked_by(), SUBJECT, moment),
        notices.warning(blocked_by(), SUBJECT, moment, proceed_cookie=None),
        notices.refused(403),
    ):
        assert headers_of(answer)["Vary"] == "Accept-Language"


@pytest.mark.parametrize("status", [400, 403, 404, 405, 408, 413, 415, 421, 429, 500, 502, 503, 504, 418, 599])
def test_every_refusal_has_its_words(notices, status):
    """Each status gets a page; one without words of its own gets the general ones."""
    answer = notices.refused(status)
    assert answer.status == status
    assert OPERATOR.contact.encode() in answer.body
    assert b"<h1></h1>" not in answer.body


def test_a_refusal_says_the_given_reason_as_text(notices):
    """A reason is shown escaped."""
    page = notices.refused(403, "two names <b>").body
    assert b"two names &lt;b&gt;" in page
    assert b"This service is not for your network" not in page


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_whatever_a_list_is_called_the_page_stays_a_page(text):
    """No title, authority or category can end up as markup."""
    notices = Notices(OPERATOR, PORTAL, Sealer(PUBLIC))
    plain, odd = (
        notices.block(blocked_by(title=name, authority=name, category=name, appeal=name), SUBJECT, AT).body.decode()
        for name in ("x", text)
    )
    assert set(Outline(odd).tags) <= {*Outline(plain).tags, "a"}
