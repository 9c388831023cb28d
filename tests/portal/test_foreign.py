"""A host that is not ours gets the notice for it, or is told that it is not here."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from httpx2 import Response

from filterproxy.core.bundle import Bundle
from filterproxy.core.policy import Policy
from filterproxy.portal.foreign import own_authorities, own_hosts
from filterproxy.settings import load_text
from tests.portal.world import CONFIG, KEY, World, make_policy


def get(world: World, host: str, path: str = "/", client: str = "192.0.2.7") -> Response:
    return world.client(client=client).get(path, headers=[(b"host", host.encode("latin-1"))])


OWN = (
    "notice.example",
    "NOTICE.example.",
    "notice.example:8000",
    "help.example",
    "localhost:8000",
    "127.0.0.1",
    "[::1]",
)


@pytest.mark.parametrize("host", OWN)
def test_our_own_hosts_get_the_pages(world, host):
    """The portal's url, its further names, localhost and the listener's address are our own, with any port."""
    assert "Why was something blocked?" in get(world, host, "/notice").text


def test_the_address_a_request_arrived_at_is_our_own(world):
    """A portal that listens on every address knows which of them was asked."""
    assert world.client("http://198.51.100.9").get("/healthz").text == "ok\n"


def test_the_own_hosts_are_those_of_the_configuration():
    """They are spelled canonically, and hold what DNS answers for blocked names."""
    settings = load_text('[portal]\nurl = "https://NOTICE.example"\n[dns]\nnotice_addresses = ["2001:db8::0:1"]')
    assert {"notice.example", "[2001:db8::1]", "localhost", "127.0.0.1", "[::1]"} == own_hosts(settings)


def test_the_own_authorities_have_the_ports_of_the_url_and_of_the_listener():
    """A page of ours names one of these as its origin; another server of the same machine has another port."""
    own = own_authorities(load_text('[portal]\nurl = "https://notice.example"\nlisten = "127.0.0.1:8000"'))
    assert {"notice.example", "notice.example:443", "localhost:8000", "[::1]"} <= own
    assert "localhost:3000" not in own


def test_a_blocked_site_gets_its_notice_with_the_lists_status(world):
    """Who was led here by DNS meets the notice of the list that blocks the name; its token names the page."""
    answer = get(world, "www.games.example", "/play?x=1")
    assert answer.status_code == 451
    assert "Sites of the Example Court" in answer.text
    assert "games.example" not in answer.text
    assert answer.headers["link"] == '<https://net.example/>; rel="blocked-by"'
    assert "form-action http://notice.example;" in answer.headers["content-security-policy"]
    token = re.findall(r'name="token" value="([^"]+)"', answer.text)[0]
    facts = world.parts.opener.open(token, world.clock[0])
    assert (facts.list_id, facts.subject) == ("sites", "http://www.games.example/play?x=1")
    assert world.count.events == {"notices": 1}


def test_a_host_blocked_for_its_pages_gets_the_notice_on_every_page(world):
    """With `https = "block-host"` the name leads here, so every page of it says why; the token then says host."""
    listed = get(world, "mixed.example", "/listed/place?any")
    beside = get(world, "mixed.example", "/other")
    subjects = []
    for answer in (listed, beside):
        assert answer.status_code == 451
        token = re.findall(r'name="token" value="([^"]+)"', answer.text)[0]
        subjects.append(world.parts.opener.open(token, world.clock[0]).subject)
    assert subjects == ["http://mixed.example/listed/place?any", "mixed.example"]


def test_our_paths_on_a_blocked_host_are_not_ours(world):
    """The form of a blocked host is its own affair: /appeal there is blocked as the rest is, for any method."""
    for method in ("GET", "POST", "PUT"):
        answer = world.client().request(method, "/appeal", headers={"host": "games.example"})
        assert answer.status_code == 451
        assert "token" in answer.text


def test_a_host_that_is_allowed_is_not_here(world):
    """Nobody blocks it, and we are not it: 421, without a word about the host."""
    answer = get(world, "plain.example")
    assert answer.status_code == 421
    assert "plain.example" not in answer.text
    assert world.count.events == {}


PROBES = ("/", "/listed/place", "/other", "/a-warlike-thing")


@pytest.mark.parametrize("https", ["pass", "inspect"])
def test_a_page_of_a_name_that_dns_does_not_block_is_not_looked_at(world, https):
    """Nobody is led here for such a name, so whoever asks is asking what is listed: each page is 421 alike."""
    config = CONFIG.replace("{host}", "notice.example").replace('https = "block-host"', f'https = "{https}"')
    asked = world.with_settings(config)
    answers = [get(asked, "mixed.example", path) for path in PROBES]
    assert {answer.status_code for answer in answers} == {421}
    assert len({answer.content for answer in answers}) == 1
    assert world.count.events == {}


@pytest.mark.parametrize("client", ["8.8.8.8", "2001:4860::8888", "", "no address"])
def test_the_internet_learns_nothing_although_a_profile_holds_everyone(world, client):
    """A profile for every address does not make the portal an oracle: who is not filtered here gets one answer."""
    policy = world.parts.policy()
    world.parts = replace(world.parts, policy=lambda: Policy(policy.bundle, policy.listings))
    answers = [get(world, host, path, client) for host in ("mixed.example", "plain.example") for path in PROBES]
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("client", ["192.0.2.7", "198.51.100.7", "::ffff:192.0.2.7", "2001:db8::7"])
def test_who_is_served_by_dns_or_by_the_proxy_gets_the_notice(world, client):
    """The clients of either are led here."""
    assert get(world, "games.example", client=client).status_code == 451


def test_a_list_that_cannot_judge_is_503(world):
    """Where a fail-closed list is away, its site is not shown and the person is told to come back."""
    closed = CONFIG.replace("{host}", "notice.example").replace('id = "sites"', 'id = "sites"\non_failure = "closed"')
    settings = load_text(closed)
    bundle = make_policy(settings).bundle
    held = Bundle([segment for segment in bundle.segments if segment.name != "list:sites"], KEY)
    policy = Policy(held, settings.listings)
    world.parts = replace(world.parts, policy=lambda: policy)
    answer = get(world, "games.example")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "300")
    assert get(world, "mixed.example", "/listed/place").status_code == 451  # another list answers for this one


def test_who_is_not_served_learns_nothing(world):
    """A client outside every profile gets the same 403 for a blocked and for an allowed host (T1)."""
    blocked, allowed = (get(world, host, client="203.0.113.5") for host in ("games.example", "plain.example"))
    assert blocked.status_code == allowed.status_code == 403
    assert blocked.content == allowed.content


@pytest.mark.parametrize(
    "host", ["", "a b", "a/b", "user@games.example", "a..b", "%zz", "games.example:99999", "\u00ff"]
)
def test_an_invalid_host_is_400(world, host):
    """A Host field that is no host is refused, and named nowhere."""
    answer = get(world, host)
    assert answer.status_code == 400
    assert "token" not in answer.text


def test_two_hosts_are_400(world):
    """Two Host fields are refused: nobody could say which of them to judge."""
    fields = [("host", "notice.example"), ("host", "games.example")]
    assert world.client().get("/", headers=fields).status_code == 400


def test_head_of_a_blocked_site_has_no_body(world):
    """HEAD gets the status and headers of the notice alone."""
    answer = world.client().head("/", headers={"host": "games.example"})
    assert (answer.status_code, answer.content) == (451, b"")
