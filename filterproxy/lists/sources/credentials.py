"""How a source is told who asks, and how it shows who it is. What is read here never reaches a message."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from filterproxy.errors import SourceError
from filterproxy.settings.lists import Fetch

from . import files

Headers = list[tuple[bytes, bytes]]

_MAX_FILE = 1024 * 1024
_MAX_HEADERS = 16 * 1024
_FIELD = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)"
)
"""RFC 9110, section 5.1 and 5.5."""
_OURS = frozenset(
    (b"accept-encoding", b"connection", b"content-length", b"expect", b"host", b"if-match", b"if-modified-since",
     b"if-none-match", b"if-range", b"if-unmodified-since", b"range", b"te", b"trailer", b"transfer-encoding",
     b"upgrade"),
)  # fmt: skip
"""What we say ourselves, or would be answered in a way that we do not understand."""


def headers(fetch: Fetch) -> Headers:
    """Return the fields of the file `fetch.headers`, if it is set. Raises SourceError."""
    if fetch.headers is None:
        return []
    found: Headers = []
    try:
        lines = files.secret(fetch.headers, _MAX_HEADERS).splitlines()
    except SourceError as exc:
        raise SourceError(f"fetch.headers: {exc}") from exc
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        field = _FIELD.fullmatch(line.strip())
        if field is None:
            raise SourceError(f"fetch.headers: line {number}: write NAME: VALUE")
        if field[1].lower() in _OURS:
            raise SourceError(f"fetch.headers: line {number}: this field is the product's own")
        found.append((field[1], field[2]))
    return found


def context(fetch: Fetch, *, known: bool) -> ssl.SSLContext:
    """Return how TLS is spoken: 1.2 or newer, the certificate checked. Raises SourceError.

    `known`: whether this is the list's own host, which alone is shown the client's certificate.
    """
    made = _trusting(fetch.ca)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    if known and fetch.certificate is not None and fetch.key is not None:
        _identify(made, fetch.certificate, fetch.key)
    return made


def _trusting(ca: Path | None) -> ssl.SSLContext:
    if ca is None:
        return ssl.create_default_context()
    try:
        content = files.opened(ca, _MAX_FILE)
        try:
            text = content.read(0, content.size).decode("ascii", "ignore")
        finally:
            content.close()
        if "-----BEGIN" not in text:  # nothing at all would mean the system's
            raise SourceError("it holds no certificate (PEM)")
        return ssl.create_default_context(cadata=text)
    except SourceError as exc:
        raise SourceError(f"fetch.ca: {exc}") from exc
    except (ssl.SSLError, ValueError):
        raise SourceError("fetch.ca: it holds no certificate (PEM)") from None


def _identify(made: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        files.opened(certificate, _MAX_FILE).close()
    except SourceError as exc:
        raise SourceError(f"fetch.certificate: {exc}") from exc
    try:
        files.secret(key, _MAX_FILE)
        made.load_cert_chain(certificate, key, password=_no_password)
    except SourceError as exc:
        raise SourceError(f"fetch.key: {exc}") from exc
    except (OSError, ValueError):
        raise SourceError("fetch.certificate and fetch.key: not a certificate and its key (PEM)") from None


def _no_password() -> str:
    """Nobody is there to type one, and OpenSSL would ask on the terminal."""
    raise SourceError("it is locked with a password")
