"""Files that hold a secret of the operator's, such as a password: read only where nobody else could have read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from filterproxy.errors import SecretError

_LIMIT = 64 * 1024
"""Bytes of such a file at most."""
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type", "te", "upgrade"})


def read_private(path: Path) -> str:
    """Return the text of a file that only its owner may read, read now: it may be renewed while we run.

    Raises SecretError, which names the file and the reason, never what is in it.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not a path"
        raise SecretError(f"{path} cannot be opened: {reason}") from None
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise SecretError(f"{path} is no file")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise SecretError(f"{path} is readable by others: chmod 600")
        with open(file, "rb", closefd=False) as opened:
            content = opened.read(_LIMIT + 1)
    finally:
        os.close(file)
    if len(content) > _LIMIT:
        raise SecretError(f"{path} is larger than {_LIMIT} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise SecretError(f"{path} is not UTF-8") from None


def read_headers(path: Path) -> dict[str, str]:
    """Return the `Name: value` lines of such a file; empty lines and those that begin with `#` are left out.

    Raises SecretError where a line is none, or names a field that is not the operator's to set.
    """
    found = {}
    for number, line in enumerate(read_private(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        good = name.isascii() and name.replace("-", "").replace("_", "").isalnum() and value.isprintable()
        if not (colon and good and value.isascii()):
            raise SecretError(f"{path}: line {number}: write Name: value")
        if name.lower() in _OURS:
            raise SecretError(f"{path}: line {number}: {name} is set by the product itself")
        found[name] = value.strip()
    return found
