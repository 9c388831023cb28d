from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from filterproxy.dns.transfer.serials import FILE, Serials
from tests.dns.transfer.zones import names, zone
from tests.policies import KEY, NOW

ONE, OTHER = zone(names("secret.example")), zone(names("other.example"))


def test_what_says_the_same_keeps_its_serial_over_a_restart(tmp_path):
    """A receiver that has what there is takes nothing again."""
    first = Serials(tmp_path).serial(ONE, KEY, NOW)
    assert first == int(NOW.timestamp())
    assert Serials(tmp_path).serial(ONE, KEY, NOW + timedelta(days=1)) == first


def test_serials_only_grow(tmp_path):
    """Whatever the clock says, what changed is newer: within a second, and where the clock was set back."""
    serials = Serials(tmp_path)
    first = serials.serial(ONE, KEY, NOW)
    assert serials.serial(OTHER, KEY, NOW) == first + 1
    assert Serials(tmp_path).serial(ONE, KEY, NOW - timedelta(days=1)) == first + 2
    assert serials.serial(OTHER, KEY, NOW) == first + 1


def test_serials_go_round(tmp_path):
    """In 2106 too what comes next is newer."""
    serials, last = Serials(tmp_path), datetime.fromtimestamp(2**32 - 1, UTC)
    assert serials.serial(ONE, KEY, last) == 2**32 - 1
    assert serials.serial(OTHER, KEY, last) == 0


def test_nothing_that_is_listed_lies_in_the_file(tmp_path):
    """It holds the zone, its serial and a digest that nobody without the key can try names against."""
    Serials(tmp_path).serial(ONE, KEY, NOW)
    text = (tmp_path / FILE).read_text()
    assert "secret" not in text
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": 1}', b'{"a": ["x", "y"]}', b"\xff", b"[" * 100_000])
def test_a_damaged_file_is_said_and_time_counts(tmp_path, caplog, content):
    """What cannot be read costs a transfer, not the service."""
    (tmp_path / FILE).write_bytes(content)
    with caplog.at_level(logging.ERROR):
        assert Serials(tmp_path).serial(ONE, KEY, NOW) == int(NOW.timestamp())
    assert content == b"[]" or "cannot be read" in caplog.text


def test_a_folder_that_takes_no_file_is_said(tmp_path, caplog):
    """Serials then last as long as the process."""
    (tmp_path / "state").write_text("no folder")
    serials = Serials(tmp_path / "state")
    assert serials.serial(ONE, KEY, NOW) == serials.serial(ONE, KEY, NOW + timedelta(1))
    assert "cannot be written" in caplog.text
