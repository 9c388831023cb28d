"""A product that is asked over TLS or HTTPS: its settings, its certificate, and how a test runs and reaches it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Self

from tests.dns.pairs import NAME, Files, Pair
from tests.ports import free_ports

from .product import Product

_SETTINGS = """
[dns.encrypted]
name = "{name}"
certificate = "{files.certificate}"
key = "{files.key}"
{keys}
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
"""


class Encrypted(Product):
    """A product that has a certificate for `NAME`, and of its profiles one, `free`, that anyone may choose.

    `keys` are the further ones of its table, where `{dot}` and `{doh}` stand for ports; `more` are other tables.
    """

    def __init__(self, folder: Path, keys: str, more: str = "", *, workers: int = 1) -> None:
        super().__init__(folder, workers=workers)
        self.dot, self.doh = free_ports(2)
        self.files = Files(folder)
        self.pair = self.files.write(Pair())
        listens = keys.format(dot=self.dot, doh=self.doh)
        self.config.write_text(
            self.config.read_text() + _SETTINGS.format(name=NAME, files=self.files, keys=listens) + more
        )

    @contextmanager
    def running(self, upstream: AbstractContextManager[None], within: Sequence[str] = ()) -> Iterator[Self]:
        """Run it before that upstream, by way of the command `within`, if any; it is ended whatever happens."""
        with upstream:
            try:
                self.start(within=within)
                yield self
            finally:
                self.kill()

    @contextmanager
    def connected(self, port: int, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
        """Yield a connection to one of its ports, by its name."""
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain, server_hostname=NAME) as sock,
        ):
            yield sock
