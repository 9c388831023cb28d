"""A file with a secret is read only where nobody else could have read it, and what is in it is never told."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import SecretError
from filterproxy.settings.private import read_headers, read_private


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.touch(0o600)
    return path


def test_what_its_owner_alone_may_read_is_read(secret):
    """As it is now: it may be renewed while we run."""
    secret.write_text("one")
    assert read_private(secret) == "one"
    secret.write_text("two\n")
    assert read_private(secret) == "two\n"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o602])
def test_what_others_could_read_or_change_is_refused(secret, mode):
    """Whoever could read it may have it already; the message says what to do."""
    secret.chmod(mode)
    with pytest.raises(SecretError, match="readable by others: chmod 600"):
        read_private(secret)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    """Also a pipe, of which a reader would wait for ever."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    for name, reason in (("pipe", "is no file"), ("folder", "is no file"), ("none", "cannot be opened")):
        with pytest.raises(SecretError, match=reason):
            read_private(tmp_path / name)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 70_000])
def test_what_cannot_be_a_secret_of_ours_is_refused(secret, content):
    """Neither text nor small."""
    secret.write_bytes(content)
    with pytest.raises(SecretError, match="UTF-8|larger"):
        read_private(secret)


def test_headers_are_lines_of_name_and_value(secret):
    """With comments and empty lines."""
    secret.write_text("# key of the feed\n\nX-Api-Key: mark\nAuthorization:Basic bWFyaw==\n")
    assert read_headers(secret) == {"X-Api-Key": "mark", "Authorization": "Basic bWFyaw=="}


@given(st.text(max_size=100) | st.text("aA-:\r\n\t\0 é", max_size=20))
def test_whatever_the_file_holds_no_header_ends_early(tmp_path_factory, text):
    """Each value is one printable line in ASCII, or the file is refused without telling what is in it."""
    path = tmp_path_factory.mktemp("secret") / "headers"
    path.touch(0o600)
    path.write_text(f"X-First: 1\n{text}", newline="")
    try:
        found = read_headers(path)
    except SecretError as error:
        assert str(error).startswith(str(path))
        return
    for name, value in found.items():
        assert name.isascii()
        assert value.isascii()
        assert (name + value).isprintable()
        assert " " not in name
