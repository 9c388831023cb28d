"""The running product between curl and nginx: every way of asking, byte by byte, and a worker that dies meanwhile."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.nginx import free_tcp, nginx
from tests.integration.product import Product, upstream
from tests.lists.sources.web import Ca

_SITE = """
    server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {leaf}; ssl_certificate_key {leaf};
        client_max_body_size 50m;
        if_modified_since before;
        location /up {{ proxy_pass http://127.0.0.1:{plain}/sink; proxy_request_buffering off; }}
        location /sink {{ return 200 "$request_method $content_length $http_transfer_encoding\\n"; }}
        location /packed {{ gzip on; gzip_types text/plain; gzip_min_length 1; alias {folder}/www/large; }}
    }}
"""


@dataclass(frozen=True)
class Site:
    """A web server behind names, and a product before it."""

    product: Product
    plain: int
    tls: int
    ca: Path
    large: bytes

    def curl(self, url: str, *more: str) -> tuple[int, bytes]:
        """Return status and body of a URL; 0 where there was no answer."""
        command = ["curl", "-s", "-m", "30", "-w", "\n%{http_code}", "--cacert", str(self.ca)]
        proxy = ["-x", f"http://127.0.0.1:{self.product.proxy}"]
        out = subprocess.run([*command, *proxy, *more, url], capture_output=True, check=False, timeout=60).stdout
        body, _, status = out.rpartition(b"\n")
        return int(status), body


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a few pages and a large file."""
    folder = Path(tmp_path_factory.mktemp("gateway"))
    plain, tls = free_tcp(2)
    ca = Ca(folder)
    (folder / "www").mkdir()
    large = os.urandom(1 << 20) * 20
    (folder / "www" / "large").write_bytes(large)
    (folder / "www" / "page").write_text("a page\n")
    product = Product(folder)
    text = product.config.read_text()
    product.config.write_text(text.replace("[gateway]", f"[gateway]\nconnect_ports = [{tls}, {plain}]"))
    servers = _SITE.format(plain=plain, tls=tls, leaf=ca.issued("localhost"), folder=folder)
    with nginx(folder, servers, plain), upstream(product.upstream):
        product.start()
        try:
            yield Site(product, plain, tls, ca.pem, large)
        finally:
            product.kill()


def test_large_files_come_through_whole(site: Site) -> None:
    """In clear, through a tunnel in clear, through a tunnel over TLS, and packed on the way."""
    wanted = hashlib.sha256(site.large).digest()
    for url, more in (
        (f"http://127.0.0.1:{site.plain}/large", []), (f"http://127.0.0.1:{site.plain}/large", ["-p"]),
        (f"https://localhost:{site.tls}/large", []), (f"http://127.0.0.1:{site.plain}/packed", ["--compressed"]),
        (f"http://127.0.0.1:{site.plain}/large", ["--http1.0"]),
    ):  # fmt: skip
        status, body = site.curl(url, *more)
        assert (url, more, status, hashlib.sha256(body).digest() == wanted) == (url, more, 200, True)


def test_a_part_a_head_and_what_has_not_changed(site: Site) -> None:
    """Answers without a body, or with less of one."""
    url = f"http://127.0.0.1:{site.plain}/large"
    assert site.curl(url, "-r", "100-199")[1] == site.large[100:200]
    assert site.curl(url, "-I")[0] == 200
    assert site.curl(url, "-H", "If-Modified-Since: Fri, 01 Jan 2038 00:00:00 GMT")[0] == 304


@pytest.mark.parametrize(
    "more", [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"], ["-T", "-"]]
)
def test_large_bodies_go_up_whole(site: Site, more: list[str], tmp_path: Path) -> None:
    """With a length or in chunks; nginx counts them."""
    path = tmp_path / "body"
    path.write_bytes(site.large)
    url = f"http://127.0.0.1:{site.plain}/up"
    more = ["-T", str(path)] if "-T" in more else [*more, "--data-binary", f"@{path}"]
    status, body = site.curl(url, *more)
    assert (status, body.split(b" ")[0]) == (200, b"PUT" if "-T" in more else b"POST")
    if "Transfer-Encoding: chunked" not in more:
        assert body.split(b" ")[1] == b"%d" % len(site.large)


def test_what_is_listed_is_answered_in_the_place_of_the_origin(site: Site) -> None:
    """By URL in clear, by host in a CONNECT, and nothing beside it."""
    assert site.curl("http://mixed.example/listed/page.html")[0] == 403
    assert site.curl("http://bad.example/")[0] == 403
    assert site.curl("https://bad.example/", "-w", "\n%{http_connect}")[0] == 403
    assert site.curl(f"http://127.0.0.1:{site.plain}/page")[1] == b"a page\n"


def test_a_worker_that_dies_is_replaced_and_the_port_never_refuses(site: Site) -> None:
    """Who comes meanwhile waits in the listening socket, which the supervisor keeps."""
    before = site.product.pid("edge-0")
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert site.curl(f"http://127.0.0.1:{site.plain}/page")[1] == b"a page\n"
    assert site.product.pid("edge-0") not in (None, before)
