"""Who may take which zone."""

from __future__ import annotations

import os

import dns.name
import pytest

from filterproxy.dns.transfer.receivers import audience, read
from filterproxy.errors import ConfigError
from tests.dns.transfer.house import KEYS, SECRETS, receivers, settings, write_secrets


def test_a_confidential_list_goes_only_to_those_it_names():
    """One that names nobody goes to nobody, however many receivers there are; an open one goes to all."""
    found = {table.id: audience(settings(), table) for table in settings().lists}
    assert found == {"open": ("one", "two"), "secret": ("two",), "kept": (), "own": ()}
    known = receivers()
    one, two = known.all
    assert [(known.may(one, name), known.may(two, name)) for name in found] == [
        (True, True), (False, True), (False, False), (False, False),
    ]  # fmt: skip


@pytest.mark.parametrize(("address", "anybody", "one"), [
    ("127.0.0.9", True, True),
    ("127.0.2.9", True, False),
    ("127.0.3.9", False, False),
    ("2001:db8::7", True, True),
    ("2001:db8:1::7", False, False),
    ("fe80::1%lo", False, False),
    ("nonsense", False, False),
])  # fmt: skip
def test_a_key_counts_from_its_own_networks(address, anybody, one):
    """Whoever has it, from elsewhere it is worth nothing."""
    known, name = receivers(), dns.name.from_text("One.EXAMPLE")
    assert known.listed(address) is anybody
    assert (known.owner(name, address) is not None) is one
    assert known.key(name) == KEYS["one"]
    assert known.key(dns.name.from_text("three.example")) is None
    assert known.key_of(known.all[1]) == KEYS["two"]


def test_nothing_that_is_shown_of_receivers_shows_a_key():
    """Not even the representation of what holds them all."""
    assert repr(receivers()) == "Receivers(2)"


def test_keys_are_read_from_files_that_only_their_owner_reads(tmp_path):
    """In base64, however it is broken into lines."""
    write_secrets(tmp_path)
    assert read(settings(folder=tmp_path)).key(dns.name.from_text("one.example")) == KEYS["one"]


@pytest.mark.parametrize(("content", "mode", "says"), [
    ("MTIzNDU2Nzg5MDEyMzQ1", 0o600, "has 15 bytes"),
    ("not base64!", 0o600, "is not a key in base64"),
    ("é", 0o600, "is not a key in base64"),
    ("MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=", 0o640, "readable by others"),
    (None, 0o600, "cannot be opened"),
])  # fmt: skip
def test_a_key_that_cannot_be_used_is_refused_and_not_told(tmp_path, content, mode, says):
    """The error names the receiver and the file, and nothing that is in it."""
    write_secrets(tmp_path)
    path = tmp_path / "two.tsig"
    path.unlink()
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(ConfigError, match=says) as caught:
        read(settings(folder=tmp_path))
    assert str(caught.value).startswith("dns.transfer.receivers: two: secret: ")
    assert content is None or content not in str(caught.value)


def test_a_key_that_the_products_user_could_not_read_is_told_before_the_start(tmp_path):
    """Root reads it; whom it becomes would not."""
    write_secrets(tmp_path)
    with pytest.raises(ConfigError, match="belongs to another user"):
        read(settings(folder=tmp_path), os.geteuid() + 1)
    assert len(SECRETS) == len(read(settings(folder=tmp_path), os.geteuid()).all)
