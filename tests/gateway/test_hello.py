"""A hello has one reading, in whatever pieces it comes, or none."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.gateway.ech import Offer
from filterproxy.gateway.hello import LONGEST, MOST_RECORDS, Hello, NotTlsError, needed, read
from filterproxy.gateway.vectors import UnreadableError
from tests.conftest import have
from tests.gateway.hellos import alpn, encrypted, extension, hello, message, records, server_name, vector

NAMED = message(server_name(b"host.example"), alpn(b"h2", b"http/1.1"))
FOUND = Hello("host.example", (b"h2", b"http/1.1"))
GREASE = (extension(0x3A3A), extension(0xDADA, b"\0"))


@pytest.mark.parametrize(("extensions", "found"), [
    ((), Hello()),
    ((server_name(b"HOST.Example."),), Hello("host.example")),
    ((server_name(b"xn--bcher-kva.example"),), Hello("xn--bcher-kva.example")),
    ((server_name(b"a_b.example"),), Hello("a_b.example")),
    ((server_name(b"192.0.2.1"),), Hello("192.0.2.1")),
    ((*GREASE, alpn(b"\xca\xca", b"h2")), Hello(None, (b"\xca\xca", b"h2"))),
    ((server_name(b"a.test"), encrypted(9, (1, 3), 32, 239)), Hello("a.test", (), Offer(9, 1, 3, 32, 239))),
    ((encrypted(key=0),), Hello(None, (), Offer(7, 1, 1, 0, 208))),
    ((server_name(b"a.test"), extension(0xFE0D, b"\1")), Hello("a.test", inner=True)),
    ((server_name(b"a.test"), extension(51, bytes(1300)), encrypted()), Hello("a.test", (), Offer(7, 1, 1, 32, 208))),
])  # fmt: skip
def test_a_hello_says_its_name_its_protocols_and_whether_another_may_hide_behind_it(extensions, found):
    """As Firefox makes GREASE too; what follows the hello's record, as early data do, is not looked at."""
    assert read(hello(*extensions)) == read(hello(*extensions) + b"\x17\3\3\0\1x") == found
    assert "test" not in repr(found)


@pytest.mark.parametrize("made", [
    message(server_name(b"a.test"), server_name(b"b.test")),
    message(server_name(b"a.test"), server_name(b"a.test")),
    message(extension(0, vector(2, (b"\0" + vector(2, b"a.test")) * 2))),
    message(extension(0, vector(2, b"\0" + vector(2, b"a.test") + b"\1" + vector(2, b"b.test")))),
    message(server_name(b"a.test", kind=1)),
    message(server_name(b"")), message(extension(0)), message(extension(0, b"\0\0")),
    message(server_name(b"a..test")), message(server_name(b"a.test\0")), message(server_name("bücher.test".encode())),
    message(server_name(b"a%2etest")), message(server_name(b"a" * 254)), message(server_name(b"a.test/x")),
    message(extension(0, vector(2, b"\0" + vector(2, b"a.test")) + b"x")),
    message(alpn()), message(alpn(b"")), message(alpn(b"h2"), alpn(b"h2")), message(extension(16, b"\0\4\2h2")),
    message(encrypted(), encrypted()), message(extension(0xFE0D, b"\2")), message(extension(0xFE0D, b"\1x")),
    message(*GREASE, *GREASE),
    message(session=bytes(33)), message(suites=b""), message(suites=b"\x13"), message(version=0x0203),
    b"\1" + vector(3, message(alpn(b"h2"))[4:] + b"x"), b"\1" + vector(3, message(alpn(b"h2"))[4:-1]),
    b"\1\0\0\0", b"\2" + NAMED[1:], b"\1" + LONGEST.to_bytes(3), NAMED + NAMED, NAMED + b"x",
])  # fmt: skip
def test_a_hello_with_two_readings_has_none(made):
    """Two names, two extensions of a kind, a name that is no host, lengths that do not add up, anything behind it."""
    with pytest.raises(UnreadableError) as found:
        read(records(made))
    assert not isinstance(found.value, NotTlsError)
    assert "test" not in str(found.value)


@pytest.mark.parametrize("data", [
    records(NAMED, 0), records(NAMED, 5, 0), records(NAMED, *[1] * MOST_RECORDS),
    records(NAMED, 5)[:10] + b"\x15\3\1\0\2\1\0" + records(NAMED, 5)[10:],
    records(NAMED, 5)[:10] + b"\x14",
    records(NAMED, 5)[:10] + b"GET",
    b"\x16\3\1\x40\1", b"\x15\3", b"\x17\3\3\0\1", b"\x14", bytes.fromhex("802e0103010015000000100000"),
])  # fmt: skip
def test_records_that_hold_no_hello_are_refused_at_once(data):
    """Empty ones, too many, too long ones, others between, others instead, and the hello of SSL 2."""
    with pytest.raises(UnreadableError) as found:
        read(data)
    assert not isinstance(found.value, NotTlsError)


@pytest.mark.parametrize("data", [
    b"G", b"GET / HTTP/1.1\r\n", b"SSH-2.0-x", b"\0", b"PRI * HTTP/2.0", b"\x16\2", b"\x14\5", b"\xff\xff\xff", b"\x7f",
])  # fmt: skip
def test_what_is_no_tls_is_told_apart(data):
    """By its first byte most often, so that who waits for an answer to plain text gets one."""
    with pytest.raises(NotTlsError):
        read(data)


@given(st.lists(st.integers(1, 90), max_size=MOST_RECORDS - 1), st.binary(max_size=3))
def test_any_records_and_any_pieces_give_the_same(sizes, rest):
    """However a hello is cut into records and these into segments: None until its last byte, and then the same."""
    fitting = [size for number, size in enumerate(sizes) if sum(sizes[: number + 1]) < len(NAMED)]
    data = records(NAMED, *fitting[: len(sizes)]) if sum(fitting) < len(NAMED) else records(NAMED)
    assert all(read(data[:end]) is None for end in range(len(data)))
    assert read(data + rest) == read(bytearray(data)) == read(memoryview(data)) == FOUND
    assert needed(data) == len(data)


@given(st.lists(st.integers(1, 9), max_size=20))
def test_who_waits_for_what_is_needed_reads_seldom(sizes):
    """So bytes that come one by one cost no more than those that come at once, and nobody waits for too many."""
    data = records(NAMED, *sizes) if sum(sizes) < len(NAMED) else records(NAMED)
    reads, least, found = 0, 1, None
    for end in range(1, len(data) + 1):
        if end >= least:
            reads, found, least = reads + 1, read(data[:end]), needed(data[:end])
            assert len(data) >= least > end or found
    assert found == FOUND
    assert reads <= 2 * (len(sizes) + 1) + 5


def test_the_longest_hello_in_the_most_records_is_read_soon():
    """A byte at a time, by who waits for what is needed; and that is as long as any may be."""
    made = message(server_name(b"a.test"), extension(21, bytes(LONGEST - len(message(server_name(b"a.test"))) - 4)))
    data, least, begun = bytearray(), 1, time.process_time()
    for byte in records(made, *[1000] * (MOST_RECORDS - 1)):
        data.append(byte)
        if len(data) >= least and read(data) is None:
            least = needed(data)
    assert (len(made), read(data)) == (LONGEST, Hello("a.test"))
    assert time.process_time() - begun < 2


@given(
    st.binary(max_size=300)
    | st.binary(max_size=300).map(lambda data: records(b"\1" + vector(3, data)))
    | st.binary(max_size=200).map(hello)
)
def test_any_bytes_are_a_hello_or_not_yet_or_refused(data):
    """No other error leaves, and `needed` says the same."""
    with contextlib.suppress(UnreadableError):
        assert isinstance(read(data), Hello) or needed(data) > len(data)


@given(st.data())
def test_a_changed_hello_is_read_or_refused(data):
    """Wherever bits are turned."""
    made = bytearray(hello(server_name(b"a.test"), alpn(b"h2"), encrypted()))
    for _ in range(data.draw(st.integers(1, 4))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnreadableError):
        read(made)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", ["host.example", None])
def test_what_python_says_is_understood(version, name):
    """With a name and without, in both versions."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    said = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname=name).do_handshake()
    assert read(said.read()) == Hello(name, (b"h2", b"http/1.1"))


def recorded(listening: socket.socket, command: list[str]) -> Hello:
    """Return the first hello for host.example that the program sends; what else it asks for gets no answer."""
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            taken, _ = listening.accept()
            with taken, contextlib.suppress(NotTlsError):
                taken.settimeout(20)
                data, found = bytearray(), None
                while found is None:
                    piece = taken.recv(needed(data))
                    assert piece
                    data += piece
                    found = read(data)
                if found.name == "host.example":
                    return found
    finally:
        program.kill()
        program.wait()


@pytest.mark.parametrize("command", [
    pytest.param(["openssl", "s_client", "-connect", "{at}", "-servername", "host.example", "-alpn", "h2,http/1.1"],
                 marks=have("openssl", "openssl")),
    pytest.param(["curl", "-sk", "--connect-to", "host.example:443:{at}", "https://host.example/"],
                 marks=have("curl", "curl")),
    pytest.param(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                  "--disable-background-networking", "--user-data-dir={home}", "--host-resolver-rules=MAP * {at}",
                  "https://host.example/"], marks=have("chromium", "chromium")),
], ids=["openssl", "curl", "chromium"])  # fmt: skip
def test_what_programs_say_is_understood(command, tmp_path: Path):
    """Name and protocols; and Chromium, with no configuration to be had, offers an encrypted hello that is GREASE."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        at = f"127.0.0.1:{listening.getsockname()[1]}"
        found = recorded(listening, [part.format(at=at, home=tmp_path / "home") for part in command])
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    assert (found.name, found.alpn, found.inner) == ("host.example", (b"h2", b"http/1.1"), False)
    assert (found.ech is not None) is (command[0] == "chromium")
    if found.ech:
        assert (found.ech.kdf, found.ech.key, found.ech.payload > 100) == (1, 32, True)
