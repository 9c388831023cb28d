from __future__ import annotations

import ssl

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from filterproxy.errors import SourceError
from filterproxy.lists.sources import credentials
from filterproxy.settings.lists import Fetch


def _secret(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_headers_are_read_from_their_file(tmp_path):
    """A field a line; empty lines and comments are left out."""
    path = _secret(tmp_path / "headers", "# key\n\nAuthorization: Bearer invented token \nX-Key:k\r\n")
    found = credentials.headers(Fetch(headers=path))
    assert found == [(b"Authorization", b"Bearer invented token"), (b"X-Key", b"k")]
    assert credentials.headers(Fetch()) == []


@pytest.mark.parametrize("line", [
    "no colon", "two words: x", ": x", "X-Empty:", "X: a\x00b", "X: a\x0bb",
    "Host: other.example", "Transfer-Encoding: x",    "range: bytes=0-9", "if-none-match: x",
])  # fmt: skip
def test_a_header_that_cannot_be_sent_is_refused_without_its_value(tmp_path, line):
    """The message names the line's number: what stands there is a secret."""
    path = _secret(tmp_path / "headers", f"X-Key: k\n{line}\n")
    with pytest.raises(SourceError, match=r"^fetch\.headers: line 2: ") as caught:
        credentials.headers(Fetch(headers=path))
    assert line not in str(caught.value)


def test_secrets_that_others_may_read_are_refused(tmp_path, ca):
    """Headers and the key of a certificate; the certificate itself is none."""
    headers, leaf = _secret(tmp_path / "headers", "X-Key: k\n"), ca.issued("readable")
    headers.chmod(0o604)
    with pytest.raises(SourceError, match=r"^fetch\.headers: .*chmod 600"):
        credentials.headers(Fetch(headers=headers))
    credentials.context(Fetch(ca=ca.pem, certificate=leaf, key=leaf), known=True)
    leaf.chmod(0o644)
    with pytest.raises(SourceError, match=r"^fetch\.key: .*chmod 600"):
        credentials.context(Fetch(ca=ca.pem, certificate=leaf, key=leaf), known=True)
    # Another host is shown none: nothing is read for it.
    credentials.context(Fetch(ca=ca.pem, certificate=leaf, key=leaf), known=False)


def test_tls_is_strict(ca):
    """1.2 or newer, the certificate and its name checked, no authority beside the one that was named."""
    found = credentials.context(Fetch(ca=ca.pem), known=True)
    assert found.minimum_version == ssl.TLSVersion.TLSv1_2
    assert (found.verify_mode, found.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(found.get_ca_certs()) == 1
    assert credentials.context(Fetch(), known=True).verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize("text", ["", "nothing", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"])
def test_an_authority_that_is_none_never_means_the_systems(tmp_path, text):
    """An empty file is a mistake, not everybody's trust."""
    (tmp_path / "ca").write_text(text)
    with pytest.raises(SourceError, match=r"^fetch\.ca: it holds no certificate"):
        credentials.context(Fetch(ca=tmp_path / "ca"), known=True)


def test_files_that_are_missing_or_do_not_fit_are_source_errors(tmp_path, ca):
    """Each message names the setting; a locked key is never asked a password for."""
    leaf, other = ca.issued("one"), ca.issued("two")
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    locked, empty = _secret(tmp_path / "locked", key.decode()), _secret(tmp_path / "empty", "")
    for setting, certificate, secret in [
        ("certificate", tmp_path / "none", leaf), ("key", leaf, tmp_path / "none"), ("key", leaf, locked),
        ("certificate", leaf, other), ("certificate", leaf, empty), ("certificate", empty, leaf),
    ]:  # fmt: skip
        with pytest.raises(SourceError, match=rf"^fetch\.{setting}"):
            credentials.context(Fetch(ca=ca.pem, certificate=certificate, key=secret), known=True)
    with pytest.raises(SourceError, match=r"^fetch\.ca: No such file"):
        credentials.context(Fetch(ca=tmp_path / "none"), known=True)
