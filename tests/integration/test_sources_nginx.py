"""Lists from a real web server: what it answers, how it fails, and what each failure is called."""

from __future__ import annotations

import base64
import gzip
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from filterproxy.errors import SourceError
from filterproxy.lists import sources
from filterproxy.settings.lists import List
from tests.conftest import have
from tests.lists.sources.web import Ca, table

from .nginx import free_tcp, nginx, raw

pytestmark = have("nginx", "nginx")

LIST = b"".join(b"name%d.example\n" % number for number in range(2000))
SECRET = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
LIMITS = {"max_unpacked": 10**7, "max_bytes": 5 * 10**7}
KEY = base64.b64encode(SECRET.public_key().public_bytes_raw()).decode()

SERVERS = """
    server {{
        listen 127.0.0.1:{good} ssl;
        ssl_certificate {leaf}; ssl_certificate_key {leaf};
        location /packed/ {{ gzip on; gzip_types text/plain; gzip_min_length 1; add_header Vary x; }}
        location /keyed/ {{ if ($http_x_key != "invented key") {{ return 403; }} alias {folder}/www/; }}
        location /slow/ {{ limit_rate 2000; alias {folder}/www/; }}
        location = /stall {{ proxy_pass http://127.0.0.1:{upstream}; }}
        location = /short {{ proxy_pass http://127.0.0.1:{upstream}; }}
        location = /reset {{ proxy_pass http://127.0.0.1:{upstream}; }}
        location = /error {{ return 500; }}
        location = /moved {{ return 302 https://localhost:{good}/list; }}
        location = /http {{ return 301 http://localhost:{good}/list; }}
        location = /away {{ return 307 https://other.invalid/list; }}
        location = /circle {{ return 302 /circle; }}
        location = /known {{ return 304; }}
    }}
    server {{
        listen 127.0.0.1:{expired} ssl;
        ssl_certificate {old}; ssl_certificate_key {old};
    }}
    server {{
        listen 127.0.0.1:{foreign} ssl;
        ssl_certificate {strange}; ssl_certificate_key {strange};
    }}
    server {{
        listen 127.0.0.1:{mutual} ssl;
        ssl_certificate {leaf}; ssl_certificate_key {leaf};
        ssl_client_certificate {ca}; ssl_verify_client on;
    }}
"""


@dataclass
class Site:
    """The server's folder, its ports by name, and whom to trust."""

    www: Path
    ports: dict[str, int]
    ca: Ca

    def table(self, path: str = "/list", *, at: str = "good", fetch: Any = None, **more: Any) -> List:
        fetch = {"ca": self.ca.pem, "private": True, "timeout": 20} | (fetch or {})
        return table(f"https://localhost:{self.ports[at]}{path}", fetch=fetch, **more)


def _half(connection: socket.socket) -> None:
    """Say half of what was promised; then hang, close or reset, as the path asks."""
    connection.settimeout(20)
    path = connection.recv(65536).split(b" ")[1]
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(LIST)) + LIST)
    if path.startswith(b"/stall"):
        connection.recv(1)  # until the other side has had enough
    elif path.startswith(b"/reset"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    ca = Ca(folder)
    names = ("good", "expired", "foreign", "mutual")
    found = Site(folder / "www", dict(zip(names, free_tcp(len(names)), strict=True)), ca)
    (found.www / "packed").mkdir(parents=True)
    (found.www / "list").write_bytes(LIST)
    (found.www / "packed" / "list").write_bytes(LIST)
    (found.www / "bomb").write_bytes(gzip.compress(b"\n" * 2**26) * 160)
    with raw(_half) as upstream:
        servers = SERVERS.format(
            folder=folder, upstream=upstream, leaf=ca.issued("leaf"), old=ca.issued("old", days=-1),
            strange=Ca(folder, "strange").issued("leaf"), ca=ca.pem, **found.ports,
        )  # fmt: skip
        with nginx(folder, servers, found.ports["mutual"]):
            yield found


def _read(found: List, before: sources.Validators | None = None) -> bytes:
    with sources.opened(found, before) as fetched:
        return b"".join(b"".join(document.lines) for document in fetched.documents)


def test_a_list_is_fetched_and_then_asked_for_only_if_it_changed(site):
    """By ETag and by Last-Modified, as nginx gives them; touched, it comes again."""
    with sources.opened(site.table()) as fetched:
        assert b"".join(fetched.documents[0].lines) == LIST
        said = fetched.validators
    assert said.etag
    assert said.last_modified
    for before in (said, sources.Validators(said.etag), sources.Validators("", said.last_modified)):
        with sources.opened(site.table(), before) as fetched:
            assert fetched.unchanged
    assert _read(site.table(), sources.Validators('"another"')) == LIST


def test_a_redirect_is_followed(site):
    """Where it stays on https and leads to an address that is allowed."""
    assert _read(site.table("/moved")) == LIST


def test_a_server_that_would_pack_is_not_asked_to(site):
    """A list comes as it is: its signature is over these bytes."""
    assert _read(site.table("/packed/list")) == LIST


def test_a_list_may_need_a_header(site, tmp_path):
    """The key is in a file of its own; without it the answer is a refusal."""
    (tmp_path / "headers").write_text("X-Key: invented key\n")
    (tmp_path / "headers").chmod(0o600)
    assert _read(site.table("/keyed/list", fetch={"headers": tmp_path / "headers"})) == LIST
    with pytest.raises(SourceError, match="^localhost: answered 403$"):
        _read(site.table("/keyed/list"))


def test_a_list_may_need_a_certificate(site):
    """Ours is shown where it is asked for; without one the answer is a refusal."""
    leaf = site.ca.issued("client")
    assert _read(site.table(at="mutual", fetch={"certificate": leaf, "key": leaf})) == LIST
    with pytest.raises(SourceError, match="^localhost: answered 400$"):
        _read(site.table(at="mutual"))


@pytest.mark.parametrize(("path", "reason"), [
    ("/stall", r"stalled: nothing came for 0\.5 s"),
    ("/short", "the connection ended too early, or what came is not HTTP"),
    ("/reset", "the connection ended too early, or what came is not HTTP"),
    ("/slow/list", r"stalled: nothing came for 0\.5 s"),
    ("/missing", "answered 404"),
    ("/error", "answered 500"),
    ("/known", "answered 304, although nothing was asked of an older version"),
    ("/http", "redirected to what is not an https URL"),
    ("/away", "the name (does not resolve|was not resolved in time)"),
    ("/circle", "redirected more than 5 times"),
    ("/bomb", "larger than 10000000 bytes once unpacked"),
])  # fmt: skip
def test_each_failure_has_its_line(site, path, reason):
    """The host and what happened; in bounded time, and nothing of what came is taken."""
    start = time.monotonic()
    with pytest.raises(SourceError) as caught:
        _read(site.table(f"{path}?token=invented", fetch=LIMITS | {"timeout": 5 if "stalled" in reason else 60}))
    assert re.fullmatch(f"localhost: {reason}", str(caught.value))
    assert time.monotonic() - start < 10


def test_a_list_that_is_too_large_is_not_fetched(site):
    """Its length is said before it comes."""
    with pytest.raises(SourceError, match="^localhost: larger than 1000 bytes$"):
        _read(site.table(fetch={"max_bytes": 1000}))


@pytest.mark.parametrize(("at", "reason"), [
    ("expired", "certificate has expired"), ("foreign", "unable to get local issuer certificate"),
])  # fmt: skip
def test_a_certificate_that_does_not_hold_is_refused(site, at, reason):
    """Expired, or of an authority that the settings do not name."""
    with pytest.raises(SourceError, match=f"^localhost: its certificate is refused: {reason}$"):
        _read(site.table(at=at))


def test_the_systems_authorities_do_not_know_ours(site):
    """Without `fetch.ca` a server of one's own is a stranger."""
    with pytest.raises(SourceError, match="its certificate is refused"):
        _read(site.table(fetch={"ca": None}))


def test_this_machine_is_not_reached_unless_allowed(site):
    """A list's address that leads inside is refused."""
    with pytest.raises(SourceError, match="^localhost: the address is private or reserved"):
        _read(site.table(fetch={"private": False}))


def test_a_list_replaced_before_its_signature_is_refused_and_taken_when_both_are_there(site):
    """Half an update is none."""
    signed = site.table("/signed", signed={"key": KEY})
    (site.www / "signed").write_bytes(LIST)
    with pytest.raises(SourceError, match="^localhost: signature: answered 404$"):
        _read(signed)
    (site.www / "signed.sig").write_bytes(SECRET.sign(LIST))
    assert _read(signed) == LIST
    (site.www / "signed").write_bytes(LIST + b"more.example\n")
    with pytest.raises(SourceError, match="^localhost: signature: the signature does not fit the list$"):
        _read(signed)
    (site.www / "signed.sig").write_bytes(SECRET.sign(LIST + b"more.example\n"))
    assert _read(signed) == LIST + b"more.example\n"
