"""The record of a self-test: what was expected and observed, signed by the installation, and how it is verified.

The file is one JSON object: `result`, the `key` that signed it (Ed25519, base64) and the `signature` over the result
in its one spelling. It holds no listed address, no name of a canary and no client.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from filterproxy.errors import SecretError

FORMAT: Final = "filterproxy selftest 1"
_LARGEST: Final = 64 * 1024 * 1024


Outcome = Literal["passed", "failed", "not asked"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was to be shown of a list, and what was seen. `reason` says why it was not asked."""

    check: str
    how: str
    expected: str
    observed: str
    outcome: Outcome
    reason: str = ""


def counts(checks: Iterable[Check]) -> dict[Outcome, int]:
    """Return how many checks passed, failed and were not asked."""
    found: dict[Outcome, int] = {"passed": 0, "failed": 0, "not asked": 0}
    for check in checks:
        found[check.outcome] += 1
    return found


def as_json(check: Check) -> dict[str, str]:
    """Return a check as the record holds it."""
    return {name: value for name, value in asdict(check).items() if value}


def sign(result: dict[str, Any], private: bytes) -> str:
    """Return the signed record as the text of a file. `private` is an Ed25519 key of 32 bytes."""
    key = Ed25519PrivateKey.from_private_bytes(private)
    record = {
        "result": result,
        "key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        "signature": base64.b64encode(key.sign(_spelled(result))).decode(),
    }
    return json.dumps(record, indent=1, sort_keys=True) + "\n"


def verify(text: bytes, key: str = "") -> dict[str, Any] | None:
    """Return the record, or None where its signature does not hold or is not by `key` (base64; "": the one inside).

    Raises SecretError where the text is no record, or `key` no key.
    """
    try:
        record = json.loads(text)
        told(record["result"])
        inside, signature = _decoded(record["key"]), _decoded(record["signature"])
        public = Ed25519PublicKey.from_public_bytes(inside)
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise SecretError("this is no result of a self-test") from exc
    try:
        if key and _decoded(key) != inside:
            return None
        public.verify(signature, _spelled(record["result"]))
    except ValueError as exc:
        raise SecretError("--key: a key is 32 bytes in base64") from exc
    except InvalidSignature:
        return None
    return dict(record)


def told(result: dict[str, Any]) -> str:
    """Return a result in one line. Raises ValueError, KeyError or TypeError where it is none."""
    if result["format"] != FORMAT or not isinstance(result["summary"], dict):
        raise ValueError
    version, bundle = result["version"], result["generation"]
    summary = ", ".join(f"{number} {what}" for what, number in result["summary"].items())
    return f"{result['operator']}, {result['at']}, version {version}, bundle {bundle}: {summary}"


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError
    return base64.b64decode(text, validate=True)


def _spelled(result: object) -> bytes:
    """Return what is signed: a line that says what it is, then JSON without space, its names in order."""
    return f"{FORMAT}\n".encode() + json.dumps(result, sort_keys=True, separators=(",", ":")).encode()


def read(path: Path) -> bytes:
    """Return a file's content. Raises SecretError where it is larger than any record, OSError."""
    with path.open("rb") as file:
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise SecretError("this is no result of a self-test")
    return text


def write(path: Path, text: str) -> None:
    """Write a file of our own that only its owner may read, in the place of one that was there. Raises OSError."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)


def keep(state: Path, name: str, text: str) -> Path:
    """Write a new file `name` below `selftest` in the state folder, as its owner's, and return its path.

    The state folder may be another user's than ours: nothing that lies there is followed or written to. Raises OSError.
    """
    owner = state.stat()
    above = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(FileExistsError):
            os.mkdir("selftest", 0o700, dir_fd=above)
        folder = os.open("selftest", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    finally:
        os.close(above)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, 0o600, dir_fd=folder), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            if os.geteuid() == 0:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                os.fchown(folder, owner.st_uid, owner.st_gid)
    finally:
        os.close(folder)
    return state / "selftest" / name
