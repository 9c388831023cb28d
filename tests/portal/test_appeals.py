"""Anyone can object, with a notice or without, and only who has the secret sees the answer."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from httpx2 import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from filterproxy.core.appeals import Origin, State
from filterproxy.notice.token import LIFETIME
from filterproxy.portal.appeals import ASKED_PER_HOUR, FILED_PER_HOUR
from tests.portal.world import CONFIG

LISTED = "http://mixed.example/listed/place"


def codes_of(page: str) -> list[str]:
    return re.findall(r'<p class="code">([^<]+)</p>', page)


def file(browser: TestClient, **fields: str) -> Response:
    return browser.post("/appeal", data={"address": "www.a.example", "message": "It is a library.", **fields})


# With a notice


def test_a_notices_token_opens_the_form_for_that_page_without_its_address(world, browser):
    """Posted from the blocked site's own origin, the token leads to a form that says which block, but not where."""
    answer = browser.post(
        "/appeal", data={"token": world.token()}, headers={"origin": "null", "sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 200
    assert "blocked for you on 1 March 2026" in answer.text
    assert "ABCD-2345" in answer.text
    assert "mixed.example" not in answer.text
    assert 'name="address"' not in answer.text
    assert world.parts.store.appeals() == []


def test_the_form_files_the_appeal_with_what_the_token_held(world, browser):
    """The token travels on in the form, and the appeal is about the page and the list that it names."""
    token = world.token()
    page = browser.post("/appeal", data={"token": token}).text
    assert re.findall(r'name="token" value="([^"]+)"', page) == [token]
    answer = browser.post("/appeal", data={"token": token, "message": "It is\r\na library.", "contact": "me@b.example"})
    assert answer.status_code == 200
    (row,) = world.parts.store.appeals()
    assert (row.subject, row.list_id, row.origin) == (LISTED, "pages", Origin.NOTICE)
    assert row.reference == "ABCD-2345"  # as it stands on the notice that the person may have kept
    assert (row.message, row.contact, row.state) == ("It is\na library.", "me@b.example", State.RECEIVED)
    assert LISTED not in answer.text


def test_a_list_that_we_do_not_know_is_left_out(world, browser):
    """A token is a claim: an unknown list, or a profile's own entries, name no list of ours."""
    browser.post("/appeal", data={"token": world.token(list_id="profile:home"), "message": "x"})
    assert world.parts.store.appeals()[0].list_id is None


def test_a_token_that_cannot_be_opened_leads_to_the_typed_form(world, browser):
    """Too old or damaged: the person is told, keeps what was typed, and may type the address."""
    old = world.token()
    world.later(LIFETIME + timedelta(hours=2))
    for data in ({"token": old}, {"token": "nonsense"}, {"token": old, "message": "It is a library."}):
        answer = browser.post("/appeal", data=data)
        assert 'name="address"' in answer.text
        assert data.get("message", "") in answer.text
        assert 'name="token"' not in answer.text
    assert "We cannot read what the blocked page sent along" in browser.post("/appeal", data={"token": old}).text
    assert world.parts.store.appeals() == []
    assert world.count.events["tokens_failed"] == 4


# Without a notice


@pytest.mark.parametrize(("typed", "subject"), [
    ("www.a.example", "www.a.example"),
    ("a.example/x y", None),
    ("https://A.example:443/x?y#z", "https://a.example/x?y"),
])  # fmt: skip
def test_an_address_can_be_typed(world, browser, typed, subject):
    """A host or a URL is kept in its one spelling; what is neither is said beside the field."""
    answer = file(browser, address=typed)
    if subject:
        assert world.parts.store.appeals()[0].subject == subject
        assert world.parts.store.appeals()[0].origin is Origin.TYPED
    else:
        assert answer.status_code == 422
        assert html.escape(typed) in answer.text
        assert 'aria-describedby="address-error address-hint" aria-invalid="true"' in answer.text


def test_the_reply_is_the_same_whether_listed_or_not(world, browser):
    """Nothing is judged at filing: but for the two codes, the pages are equal byte by byte (T2)."""
    replies = []
    for address in (
        "http://mixed.example/listed/place",
        "http://mixed.example/other",
        "games.example",
        "plain.example",
    ):
        page = file(browser, address=address).text
        for code in codes_of(page):
            page = page.replace(code, "")
        replies.append(page)
    assert len(set(replies)) == 1


# What goes wrong keeps what was typed


@pytest.mark.parametrize("fields", [
    {"address": ""},
    {"address": "no address at all"},
    {"address": "a.example/" + "x" * 9000},
    {"address": "a.example/" + "語" * 8000, "message": "語" * 9000},
    {"message": "x" * 200_000},
    {"message": ""},
    {"message": " \r\n\t "},
    {"message": "m" * 4001},
    {"contact": "c" * 321},
    {"address": "<script>", "message": "</textarea><script>alert(1)</script>", "contact": '"><b>' + "c" * 320},
])  # fmt: skip
def test_bad_input_is_said_beside_the_field_and_nothing_typed_is_lost(world, browser, fields):
    """422, a reason beside each field that is wrong, and every field as it was."""
    sent = {"address": "www.a.example", "message": "It is a library.", "contact": "me@b.example", **fields}
    answer = browser.post("/appeal", data=sent)
    assert answer.status_code == 422
    assert "Please check" in answer.text
    assert 'role="alert"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    for value in sent.values():
        assert value.strip() in html.unescape(answer.text)
    assert "<script>alert" not in answer.text
    assert world.parts.store.appeals() == []


@pytest.mark.parametrize("fields", [
    {"address": "www.a.example", "message": "😀" * 4000, "contact": "é" * 320},
    {"message": "😀" * 4000, "contact": "é" * 320},
    {"address": "www.a.example/" + "x" * 8000, "message": "語" * 4000, "contact": "é" * 320},
])  # fmt: skip
def test_a_form_filled_to_its_limits_is_taken(world, browser, fields):
    """Every limit can be used to the full, in any script, beside the longest token."""
    if "address" not in fields:
        fields = {**fields, "token": world.token("http://mixed.example/" + "x" * 8000)}
    assert browser.post("/appeal", data=fields).status_code == 200


def test_a_huge_form_is_413(browser):
    """What no field could hold is refused before it is read."""
    assert file(browser, message="x" * 300_000).status_code == 413


def test_the_database_being_away_loses_nothing(world):
    """503, when to come back, and the form still filled in, with or without a token."""
    browser = world.with_store_away().client()
    answer = file(browser, contact="me@b.example")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "300"
    for value in ("www.a.example", "It is a library.", "me@b.example", "Please try again later"):
        assert value in answer.text
    token = world.token()
    answer = browser.post("/appeal", data={"token": token, "message": "It is a library."})
    assert (answer.status_code, token in answer.text) == (503, True)


def test_a_post_from_another_site_opens_the_form_and_files_nothing(world, browser):
    """A forged post cannot use somebody's network to file; the person would have to press the button here."""
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://other.example"}, {"origin": "null"}):
        answer = browser.post("/appeal", data={"address": "www.a.example", "message": "forged"}, headers=headers)
        assert answer.status_code == 200
        assert "forged" in answer.text
        assert "please press Send again" in answer.text
    assert world.parts.store.appeals() == []


def test_our_own_page_behind_a_tls_terminator_that_sets_its_own_host_is_ours(world):
    """An origin that is the portal's counts, whatever the Host field says: the appeal is filed."""
    answer = file_from(world.client("http://127.0.0.1:8000"), "http://notice.example")
    assert len(codes_of(answer.text)) == 2


def file_from(browser: TestClient, origin: str) -> Response:
    return browser.post("/appeal", data={"address": "www.a.example", "message": "x"}, headers={"origin": origin})


def test_people_behind_one_trusted_proxy_are_told_apart(world):
    """Each network has its own limit, by the hop that the proxy wrote; what a client wrote before it is not read."""
    config = CONFIG.replace("{host}", "notice.example").replace("[portal]", '[portal]\ntrusted_proxies = ["127.0.0.1"]')
    browser = world.with_settings(config).client(client="127.0.0.1")

    def ask(browser: TestClient, hops: str) -> int:
        data = {"address": "www.a.example", "message": "x"}
        return int(browser.post("/appeal", data=data, headers={"x-forwarded-for": hops}).status_code)

    tries = range(FILED_PER_HOUR + 1)
    assert {ask(browser, f"198.51.{n}.7") for n in tries} == {200}
    one_client = [200] * FILED_PER_HOUR + [429]
    assert [ask(browser, f"198.51.{n}.7, 192.0.2.7") for n in tries] == one_client
    not_trusted = world.client(client="127.0.0.1")
    assert [ask(not_trusted, f"198.51.{n}.7") for n in tries] == one_client


def test_one_network_files_so_many_and_no_more(world, browser):
    """Beyond the limit: 429, the form still filled in; another network and a later hour are free."""
    assert [file(browser).status_code for _ in range(FILED_PER_HOUR)] == [200] * FILED_PER_HOUR
    answer = file(browser, message="My eleventh.")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "3600"
    assert "My eleventh." in answer.text
    assert "www.a.example" in answer.text
    world.later(timedelta(hours=1))
    assert file(browser).status_code == 200


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=600)
    | st.text(st.characters(codec="utf-8"), max_size=300).map(
        lambda text: f"address={text}&message={text}".encode("utf-8", "replace")
    )
)
def test_any_body_gets_a_page(browser, body):
    """Whatever is posted, the reply is a page, never a failure."""
    for path in ("/appeal", "/appeal/status"):
        answer = browser.post(path, content=body, headers={"content-type": "application/x-www-form-urlencoded"})
        assert answer.status_code in (200, 400, 404, 413, 422, 429)
        assert "<h1>" in answer.text


# Receipt and status


def test_the_receipt_shows_number_and_secret_once_and_apart(browser):
    """Two codes in two places, each once, and a word to write them down."""
    page = file(browser).text
    receipt, secret = codes_of(page)
    assert (page.count(receipt), page.count(secret)) == (1, 1)
    assert receipt.startswith("FP-")
    assert receipt not in secret
    assert "Write these two down" in page
    assert "within 7 days" in page


def test_receipt_and_secret_open_the_status(world, browser):
    """Both together show where the appeal stands and what was answered, and nothing that was written."""
    receipt, secret = codes_of(file(browser, message="My private words.").text)
    assert 'name="secret"' in browser.get("/appeal/status").text
    page = browser.post(
        "/appeal/status", data={"receipt": f" {receipt.lower()} ", "secret": f" {secret.lower().replace('-', ' ')}\r\n"}
    ).text
    assert "Nobody has looked at it yet" in page
    assert secret not in page
    world.parts.store.move(receipt, State.TRIAGED, "Ann", "private note", world.clock[0])
    world.parts.store.move(receipt, State.GRANTED, "Ann", "", world.clock[0], answer="You are <right>.\nSorry.")
    page = browser.post("/appeal/status", data={"receipt": receipt, "secret": secret}).text
    for words in ("We agree with you", "You are &lt;right&gt;.\nSorry.", "It was decided: yes", "1 March 2026"):
        assert words in page
    for words in ("private note", "Ann", "My private words.", "a.example"):
        assert words not in page


def test_every_state_has_its_words(world, browser):
    """Whatever becomes of an appeal, its page can say it."""
    for path in ((State.WITHDRAWN,), (State.TRIAGED, State.FORWARDED, State.REJECTED)):
        receipt, secret = codes_of(file(browser).text)
        for state in path:
            world.parts.store.move(receipt, state, "Ann", "", world.clock[0])
            answer = browser.post("/appeal/status", data={"receipt": receipt, "secret": secret})
            assert answer.status_code == 200
            assert not re.search(r"\blists?\b", answer.text)  # nor hints that the address is on one (T2)


def test_a_wrong_secret_and_an_unknown_number_look_alike(browser):
    """Whoever guesses learns neither that a number exists nor that a secret does."""
    receipt, secret = codes_of(file(browser).text)
    pages = [
        browser.post("/appeal/status", data={"receipt": receipt, "secret": "wrong"}),
        browser.post("/appeal/status", data={"receipt": "FP-0000-0000", "secret": secret}),
        browser.post("/appeal/status", data={"receipt": "nonsense", "secret": secret}),
    ]
    assert {page.status_code for page in pages} == {404}
    bare = {re.sub(r'name="receipt" value="[^"]*"', "", page.text) for page in pages}
    assert len(bare) == 1
    assert all(secret not in page.text for page in pages)


@pytest.mark.parametrize("fields", [{}, {"receipt": "FP-0000-0000"}, {"secret": "x"}, {"receipt": " ", "secret": " "}])
def test_half_of_the_two_is_not_enough(browser, fields):
    """Something missing is said, and the number that was typed stays."""
    answer = browser.post("/appeal/status", data={"x": "", **fields})
    assert answer.status_code == 422
    assert "Write both" in answer.text
    assert fields.get("receipt", "").strip() in answer.text


def test_guessing_has_an_end(browser):
    """Beyond so many tries an hour a network gets 429."""
    for _ in range(ASKED_PER_HOUR):
        assert browser.post("/appeal/status", data={"receipt": "FP-0000-0000", "secret": "x"}).status_code == 404
    answer = browser.post("/appeal/status", data={"receipt": "FP-0000-0000", "secret": "x"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3600")


def test_the_status_is_503_while_the_database_is_away(world):
    """The person is told to come back, and keeps the number."""
    answer = world.with_store_away().client().post("/appeal/status", data={"receipt": "FP-0000-0000", "secret": "x"})
    assert answer.status_code == 503
    assert "FP-0000-0000" in answer.text


def test_nothing_of_an_appeal_is_in_a_log(world, browser, caplog):
    """Not the address, the words, the contact, the codes, nor who sent it."""
    with caplog.at_level(0):
        receipt, secret = codes_of(file(browser, contact="me@b.example").text)
        browser.post("/appeal/status", data={"receipt": receipt, "secret": secret})
    ours = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    )
    for words in ("a.example", "library", "me@b.example", receipt, secret, "192.0.2"):
        assert words not in ours
