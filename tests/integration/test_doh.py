"""DNS over HTTPS of a running product: real clients, every profile by its path, a certificate renewed under load."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import have
from tests.dns.pairs import NAME, Files, Pair

from .product import Product, free_ports, upstream

pytestmark = [have("curl", "curl"), have("kdig", "knot-dnsutils"), have("h2load", "nghttp2-client")]

MEDIA = "application/dns-message"
_SETTINGS = """
[dns.encrypted]
name = "{name}"
doh = ["127.0.0.1:{doh}"]
certificate = "{files.certificate}"
key = "{files.key}"
[[dns.records]]
name = "site.home.example"
value = "127.0.0.1"
[[profiles]]
id = "home"
networks = ["127.0.0.0/8"]
[[profiles]]
id = "free"
networks = ["10.0.0.0/8"]
lists = []
choose = true
[[profiles]]
id = "own"
networks = ["10.1.0.0/16"]
lists = []
[gateway]
"""


class Encrypted(Product):
    """A product that is asked over HTTPS too."""

    def __init__(self, files: Files) -> None:
        super().__init__(files.certificate.parent)
        (self.doh,) = free_ports(1)
        self.files, self.pair = files, files.write(Pair())
        table = _SETTINGS.format(name=NAME, doh=self.doh, files=files)
        self.config.write_text(self.config.read_text().replace("[gateway]\n", table, 1))

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.doh}/dns-query"

    def curl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run curl, which knows where NAME is and trusts our certificate."""
        known = ("--resolve", f"{NAME}:{self.doh}:127.0.0.1", "--cacert", str(self.files.certificate))
        command = ("curl", "-sS", "--max-time", "10", "--noproxy", "*", *known, *words)
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def kdig(self, *words: str) -> str:
        command = (
            "kdig", "@127.0.0.1", "-p", str(self.doh), f"+tls-ca={self.files.certificate}", f"+tls-hostname={NAME}",
            "+timeout=5", "+retry=0", *words,
        )  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout

    def status(self, *words: str) -> str:  # type: ignore[override] # of a request, not of the product
        return self.curl("-o", "/dev/null", "-w", "%{http_version} %{http_code}", *words).stdout


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    """A product with a certificate of its own."""
    made = Encrypted(Files(tmp_path_factory.mktemp("doh")))
    with upstream(made.upstream):
        try:
            made.start()
            yield made
        finally:
            made.kill()
