"""The certificate of encrypted DNS: renewed while we serve, and never left for one that does not fit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
import warnings
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterproxy.dns import tls
from filterproxy.dns.tls import Certificate, Named, UnfitError, load
from tests.dns.pairs import NAME, Files, Pair, trusting


def shaken(
    context: ssl.SSLContext | None, client: ssl.SSLContext, name: str = NAME, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, Named]:
    """Return both ends of a connection, after a handshake in memory."""
    assert context is not None
    there, here = (ssl.MemoryBIO(), ssl.MemoryBIO()), (ssl.MemoryBIO(), ssl.MemoryBIO())
    calls = client.wrap_bio(*there, server_hostname=name, session=session)
    called = context.wrap_bio(*here, server_side=True)
    for _ in range(4):
        for end in (calls, called):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
            here[0].write(there[1].read())
            there[0].write(here[1].read())
    assert calls.version() == called.version() is not None
    assert isinstance(called, Named)
    return calls, called


class Counts(Counter[str]):
    """What was counted."""

    def update_one(self, name: str) -> None:
        self[name] += 1


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def kept(files: Files, counts: Counts) -> Certificate:
    """Return the certificate in `files`, which counts there."""
    return Certificate(files.certificate, files.key, ("dot",), counts.update_one)


def test_a_new_pair_serves_the_next_handshake(files):
    """What is read again is the pair that lies there; where nothing changed the same context stays."""
    old, counts = files.write(Pair()), Counts()
    found = kept(files, counts)
    before = found.context
    found.look()
    assert found.context is before
    new = files.write(Pair())
    found.look()
    for pair, context in ((old, before), (new, found.context)):
        calls, _ = shaken(context, trusting(old, new))
        assert calls.getpeercert(binary_form=True) == pair.der
        assert calls.selected_alpn_protocol() == "dot"
        assert calls.version() == "TLSv1.3"
    assert not counts


def test_a_pair_that_does_not_fit_leaves_the_last_in_force_until_it_does(files, caplog):
    """It is told once for each state of the files, whatever is wrong; and it is tried again."""
    old, counts = files.write(Pair()), Counts()
    found = kept(files, counts)
    before, new = found.context, Pair()
    stages = (
        lambda: files.write_certificate(new.pem),  # its key is not there yet
        lambda: files.write_certificate(new.pem[: len(new.pem) // 2]),
        lambda: files.write_certificate(b""),
        files.certificate.unlink,
        lambda: files.write_key(new.private(b"secret")),
        lambda: files.write_key(new.private(), mode=0o640),
        files.key.unlink,
    )
    with caplog.at_level(logging.ERROR):
        for number, stage in enumerate(stages, 1):
            stage()
            for _ in range(3):
                found.look()
            assert found.context is before
            assert counts == {"dns_certificate_refused": number}
    assert [record.message for record in caplog.records] == ["dns_certificate_refused"] * len(stages)
    files.write(new)
    found.look()
    calls, _ = shaken(found.context, trusting(old, new))
    assert calls.getpeercert(binary_form=True) == new.der


def test_without_a_pair_at_first_one_is_awaited(files):
    """A process that starts while the files are being renewed serves as soon as they are there."""
    counts = Counts()
    found = kept(files, counts)
    assert found.context is None
    assert counts == {"dns_certificate_refused": 1}
    files.write(Pair())
    found.look()
    assert found.context is not None


def test_a_file_that_is_written_in_place_or_led_to_by_a_link_counts_as_changed(files, tmp_path):
    """As tools that renew certificates do either."""
    first, second = Files(tmp_path / "1"), Files(tmp_path / "2")
    pairs = []
    for place in (first, second):
        place.certificate.parent.mkdir()
        pairs.append(place.write(Pair()))
    for link, target in ((files.certificate, first.certificate), (files.key, first.key)):
        link.symlink_to(target)
    found = kept(files, Counts())
    for link, target in ((files.certificate, second.certificate), (files.key, second.key)):
        link.unlink()
        link.symlink_to(target)
    found.look()
    assert shaken(found.context, trusting(*pairs))[0].getpeercert(binary_form=True) == pairs[1].der
    third = Pair()
    second.key.write_bytes(third.private())
    second.certificate.write_bytes(third.pem)
    os.utime(second.certificate, ns=(1, 1))  # whatever the time says
    found.look()
    assert shaken(found.context, trusting(third))[0].getpeercert(binary_form=True) == third.der


def test_the_files_are_looked_at_while_it_is_kept(files, monkeypatch):
    """Nobody has to say that they have changed."""
    monkeypatch.setattr(tls, "LOOK_SECONDS", 0.01)
    files.write(Pair())

    async def story() -> None:
        found = kept(files, Counts())
        before = found.context
        keeping = asyncio.create_task(found.keep())
        files.write(Pair())
        for _ in range(500):
            if found.context is not before:
                break
            await asyncio.sleep(0.01)
        keeping.cancel()
        assert found.context is not before

    asyncio.run(story())


@pytest.mark.parametrize(("called", "name"), [(NAME, NAME), ("kids.DNS.Example", "kids.dns.example")])
def test_a_connection_knows_the_name_that_was_called(files, called, name):
    """In lower case, as names are compared."""
    pair = files.write(Pair())
    client = trusting(pair)
    client.check_hostname = False
    _, here = shaken(load(files.certificate, files.key, ("dot",), named=True), client, called)
    assert here.name == name


@pytest.mark.parametrize(("version", "served"), [(ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)])
def test_old_versions_of_tls_are_not_spoken(files, version, served):
    """RFC 8996: 1.2 is the oldest."""
    pair = files.write(Pair())
    client = trusting(pair)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version = client.maximum_version = version
    context = load(files.certificate, files.key, ("dot",))
    if served:
        assert shaken(context, client)[0].version() == "TLSv1.2"
    else:
        with pytest.raises(ssl.SSLError):
            shaken(context, client)


def test_a_session_is_resumed(files):
    """A client that comes again is spared the signature."""
    pair = files.write(Pair())
    context, client = load(files.certificate, files.key, ("dot",)), trusting(pair)
    client.maximum_version = ssl.TLSVersion.TLSv1_2  # its ticket comes with the handshake
    first, _ = shaken(context, client)
    again, _ = shaken(context, client, session=first.session)
    assert (first.session_reused, again.session_reused) == (False, True)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_whatever_lies_in_the_files_they_fit_or_are_refused(tmp_path_factory, certificate, key):
    """No other error, no question at the terminal, and nothing of what is in them is told."""
    files = Files(tmp_path_factory.mktemp("any"))
    files.write_certificate(b"-----BEGIN CERTIFICATE-----\n" + certificate)
    files.write_key(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + key)
    with pytest.raises(UnfitError, match=r"dns\.(pem|key)"):
        load(files.certificate, files.key, ("dot",))


def test_a_name_that_is_no_text_is_nothing_to_who_does_not_ask_for_it(files):
    """The handshake goes on, and no fault is reported: pytest makes errors of those."""
    files.write(Pair())
    heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting(Pair()).wrap_bio(heard, said, server_hostname="caller.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello, answer = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello.write(said.read().replace(b"caller.example", b"caller\xff\xfexample"[:14]))
    here = load(files.certificate, files.key, ("dot",)).wrap_bio(hello, answer, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        here.do_handshake()
    assert answer.pending
