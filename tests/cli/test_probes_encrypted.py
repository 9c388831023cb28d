"""What doctor says of encrypted DNS: of certificates when they end and whose they are, of ways whether they answer."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from filterproxy.cli.probes_encrypted import certificate, certificates, ways
from filterproxy.settings import Settings
from tests.dns.upstreams.servers import Authority

NAME = "dns.operator.example"
NOW = datetime.now(UTC)


class Made(Authority):
    """An authority whose last certificate is told by its file."""

    def file(self, *names: str, days: float = 90) -> Path:
        before = set(self._folder.iterdir())
        self.context(*names, days=days)
        (path,) = set(self._folder.iterdir()) - before
        return path


@pytest.fixture
def authority(tmp_path: Path) -> Made:
    return Made(tmp_path)


@pytest.mark.parametrize(("names", "days", "level", "word"), [
    ((NAME,), 90, "ok", "counts until"),
    (("*.operator.example",), 90, "ok", "counts until"),
    ((NAME,), 13, "warn", "ends on"),
    ((NAME,), -1, "fail", "counts from"),
    (("other.example",), 90, "fail", f"is not for {NAME}"),
    (("operator.example", f"*.{NAME}"), 90, "fail", f"is not for {NAME}"),
])  # fmt: skip
def test_a_certificate_counts_for_its_names_and_its_time(authority, names, days, level, word):
    """Two weeks before its end whatever renews it should have done so."""
    found = certificate("c", authority.file(*names, days=days), NOW, NAME)
    assert (found.level, word in found.text) == (level, True)


def test_profiles_that_are_chosen_by_name_need_the_certificate_too(authority):
    """A star covers all of them; without it they can be chosen by path."""
    others = [f"family.{NAME}", f"school.{NAME}"]
    found = certificate("c", authority.file(NAME), NOW, NAME, others)
    assert (found.level, "family" in found.text) == ("warn", True)
    assert certificate("c", authority.file(NAME, f"*.{NAME}"), NOW, NAME, others).level == "ok"


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_certificate_is_a_failure(tmp_path, content):
    """Whatever is wrong with the file, it is said and nothing is raised."""
    path = tmp_path / "c.pem"
    if content is not None:
        path.write_bytes(content)
    assert certificate("c", path, NOW, NAME).level == "fail"


def settings(path: Path, dot: int = 853) -> Settings:
    return Settings.model_validate({
        "dns": {
            "encrypted": {"name": NAME, "dot": [f"127.0.0.1:{dot}"], "certificate": str(path), "key": str(path)},
            "transfer": {"listen": ["127.0.0.1:8853"], "certificate": str(path), "key": str(path)},
        },
        "profiles": [{"id": "family", "choose": True}, {"id": "other"}],
    })  # fmt: skip


def test_every_certificate_that_is_shown_is_looked_at(authority):
    """That of encrypted DNS for its names, that of zones for its time; none of what is off."""
    found = {item.name: item for item in certificates(settings(authority.file(NAME)), NOW)}
    assert {name: item.level for name, item in found.items()} == {
        "dns.encrypted.certificate": "warn", "dns.transfer.certificate": "ok",
    }  # fmt: skip
    assert "family" in found["dns.encrypted.certificate"].text
    assert list(certificates(Settings(), NOW + timedelta(days=1))) == []
    assert list(ways(Settings())) == []


@contextmanager
def answering(path: Path, rcode: int = 0) -> Iterator[int]:
    """Answer DNS over TLS with the certificate in `path` on a port of loopback, from a loop of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    loop, ready = asyncio.new_event_loop(), threading.Event()
    sock = socket.create_server(("127.0.0.1", 0))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        question = asked[12 : asked.index(b"\0", 12) + 5]
        reply = asked[:2] + bytes((0x81, 0x80 | rcode)) + b"\0\1\0\0\0\0\0\0" + question
        writer.write(len(reply).to_bytes(2) + reply)
        await writer.drain()
        await reader.read()  # until the client has gone
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def serve() -> None:
        server = await asyncio.start_server(answer, sock=sock, ssl=context)
        ready.set()
        await stop.wait()
        server.close()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait_for(serve(), 30)))
    thread.start()
    assert ready.wait(10)
    try:
        yield sock.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


@pytest.mark.parametrize(("rcode", "level"), [(0, "ok"), (5, "warn")])
def test_a_way_is_asked_under_the_certificate_on_disk(authority, rcode, level):
    """Whoever signed it: what is served is compared with the file."""
    path = authority.file(NAME)
    with answering(path, rcode) as port:
        assert [item.level for item in ways(settings(path, port))] == [level]


def test_a_way_that_shows_another_certificate_or_nobody_serves_is_a_failure(authority):
    """As when the new file was not taken, or a firewall is in between."""
    path, other = authority.file(NAME), Made(authority.ca.parent, "other").file(NAME)
    with answering(other) as port:
        assert [item.level for item in ways(settings(path, port))] == ["fail"]
    assert [item.level for item in ways(settings(path, port))] == ["fail"]
