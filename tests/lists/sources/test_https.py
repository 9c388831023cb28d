from __future__ import annotations

import gzip

import pytest

from filterproxy.errors import SourceError
from filterproxy.lists.sources import addresses
from filterproxy.lists.sources.https import Client, Validators
from filterproxy.lists.sources.places import Place
from filterproxy.settings.lists import Fetch
from tests.lists.sources.web import Ca, here, plain, serving

BODY = b"a.example\n"
MOVED = "302 Found"


def _get(web, path="/list", *, resolve=here, before=None, limit=1000, **fetch):
    found = Client(
        Fetch(**{"ca": web.ca.pem, "private": True, "timeout": 20} | fetch), Place.of(web.url(path)), resolve
    ).get(Place.of(web.url(path)), limit, before)
    if found.content is None:
        return None, found.validators
    body = found.content.read(0, limit)
    found.content.close()
    return body, found.validators


def test_what_a_source_said_of_its_version_is_asked_the_next_time(web):
    """ETag and Last-Modified go back as they came; where nothing changed, nothing is fetched."""
    web.says["/list"] = plain(BODY, 'ETag: W/"1"', "Last-Modified: Mon, 02 Mar 2026 10:00:00 GMT")
    body, said = _get(web)
    assert (body, said) == (BODY, Validators('W/"1"', "Mon, 02 Mar 2026 10:00:00 GMT"))
    web.says["/list"] = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    assert _get(web, before=said) == (None, said)
    assert 'If-None-Match: W/"1"\r\nIf-Modified-Since: Mon, 02 Mar 2026 10:00:00 GMT\r\n' in web.heads[1]
    assert "If-" not in web.heads[0]


@pytest.mark.parametrize("before", [None, Validators(), Validators("\r\nX: y"), Validators("é")])
def test_an_answer_that_nothing_changed_must_have_been_asked_for(web, before):
    """A list that never came cannot be the same as before; and what is no field is never sent."""
    web.says["/list"] = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    with pytest.raises(SourceError, match="answered 304"):
        _get(web, before=before)
    assert "If-" not in web.heads[0]


@pytest.mark.parametrize("status", ["204 No Content", "206 Partial Content", "404 Not Found", "500 Oh", "300 Choices"])
def test_any_other_answer_is_refused_by_its_number(web, status):
    """An error page is no list, and a part of one neither."""
    web.says["/list"] = plain(b"" if status[0:3] == "204" else BODY, status=status)
    with pytest.raises(SourceError, match=f"^answered {status[:3]}$"):
        _get(web)


def test_what_is_larger_than_allowed_is_refused(web):
    """By what was said at once, by what came when it is too much."""
    web.says["/said"] = plain(b"", length=11)
    web.says["/chunks"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"
    for path in ("/said", "/chunks"):
        with pytest.raises(SourceError, match="^larger than 10 bytes$"):
            _get(web, path, limit=10)


@pytest.mark.parametrize(("coding", "taken"), [
    ("gzip", True), ("x-gzip", True), ("identity", True), ("br", False), ("gzip, gzip", False), ("deflate", False),
])  # fmt: skip
def test_nothing_is_unpacked_on_the_way(web, coding, taken):
    """None is asked for; what comes packed stays so, for the one place that unpacks within bounds."""
    web.says["/list"] = plain(gzip.compress(BODY, mtime=0), f"Content-Encoding: {coding}")
    if taken:
        assert _get(web)[0] == gzip.compress(BODY, mtime=0)
    else:
        with pytest.raises(SourceError, match="content coding"):
            _get(web)
    assert "Accept-Encoding: identity\r\n" in web.heads[0]


def test_redirects_are_followed_and_secrets_stay_at_home(web, tmp_path):
    """The list's own origin alone sees the headers, also when a redirect leads back to it."""
    headers = tmp_path / "headers"
    headers.write_text("X-Key: invented\nUser-Agent: theirs\n")
    headers.chmod(0o600)
    web.says["/list"] = plain(b"", "Location: /next", status=MOVED)
    web.says["/next"] = plain(b"", f"Location: {web.url('/away', 'cdn.example')}", status="308 Moved")
    web.says["/away"] = plain(b"", f"Location: {web.url('/back')}", status="303 See")
    web.says["/back"] = plain(BODY)
    assert _get(web, headers=headers, before=Validators("x"))[0] == BODY
    assert ["X-Key: invented" in head for head in web.heads] == [True, True, False, True]
    assert ["User-Agent: filterproxy" in head for head in web.heads] == [False, False, True, False]
    assert all("If-None-Match: x" in head for head in web.heads)


def test_another_port_is_another_origin(web, ca, tmp_path):
    """Who runs another server on the same host is not told the list's secrets."""
    headers = tmp_path / "headers"
    headers.write_text("X-Key: invented\n")
    headers.chmod(0o600)
    with serving(ca, ca.issued("beside")) as other:
        web.says["/list"] = plain(b"", f"Location: {other.url()}", status=MOVED)
        other.says["/list"] = plain(BODY)
        assert _get(web, headers=headers)[0] == BODY
        assert "X-Key" not in other.heads[0]


@pytest.mark.parametrize(("location", "reason"), [
    ("Location: /list", "^redirected more than 5 times$"),
    ("Location: http://lists.example/", "^redirected to what is not an https URL$"),
    ("Location: file:///etc/passwd", "^redirected to what is not an https URL$"),
    ("X: y", "^redirected more than 5 times$"),
])  # fmt: skip
def test_a_redirect_that_leads_nowhere_is_refused(web, location, reason):
    """In circles, and away from https."""
    web.says["/list"] = plain(b"", location, status=MOVED)
    with pytest.raises(SourceError, match=reason):
        _get(web)
    assert len(web.heads) in (1, 6)


def test_private_addresses_are_refused_unless_allowed(web):
    """Before anything is sent: the name's address counts, not the name."""
    with pytest.raises(SourceError, match="private or reserved"):
        _get(web, private=False)
    assert web.heads == []


def test_a_redirect_to_a_private_address_is_refused(web, monkeypatch):
    """Each hop is judged anew, before anything is sent there."""
    monkeypatch.setattr(addresses, "public", lambda address: address == "127.0.0.1")
    web.says["/list"] = plain(b"", f"Location: {web.url('/list', 'cdn.example')}", status=MOVED)
    homes = {"lists.example": ["127.0.0.1"], "cdn.example": ["127.0.0.2"]}
    with pytest.raises(SourceError, match="private or reserved"):
        _get(web, resolve=lambda host, port: homes[host], private=False)
    assert len(web.heads) == 1


def test_a_name_that_changes_its_address_gains_nothing(web):
    """The second answer of its server is never asked for: DNS rebinding needs one."""
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    web.says["/list"] = plain(BODY)
    assert _get(web, resolve=lambda host, port: answers.pop(0))[0] == BODY
    assert len(answers) == 1


def test_the_environment_names_no_proxy_and_no_authority(web, monkeypatch, tmp_path):
    """Who may set a variable could otherwise read a list and its key."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", str(web.ca.pem))
    web.says["/list"] = plain(BODY)
    assert _get(web)[0] == BODY
    with pytest.raises(SourceError, match="certificate is refused"):
        _get(web, ca=Ca(tmp_path, "other").pem)


def test_nothing_of_a_url_is_logged_or_said(web, caplog):
    """Not even at the finest level: a path may be the key to a list."""
    caplog.set_level(0)
    web.says["/token-in-path?token=1"] = plain(BODY, status="403 No")
    with pytest.raises(SourceError) as caught:
        _get(web, "/token-in-path?token=1")
    assert "token" not in caplog.text + str(caught.value)
    assert web.heads[0].startswith("GET /token-in-path?token=1 ")
