"""Rotation of a key, step by step: the next one is made, what it is for takes force, and it takes its place.

Each step is whole or undone after a crash, and may be done again. Who decides that a bundle is in force calls
`settle` with what its manifest names: then no key that something needs is ever gone.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from filterproxy.errors import SecretError

from . import files
from .files import Owner
from .ring import UNDER_BUNDLE, Keys, file_of, next_of, public_half

_STAMP: Final = "%Y%m%dT%H%M%SZ"
KEPT: Final = timedelta(days=31)
"""How long a token's previous private half is kept: tokens are valid for 30 days, a token's hour may be cut."""


def begin(folder: Path, name: str, owner: Owner | None = None) -> Keys:
    """Make the key that is to follow `name`, unless a rotation that was cut off has; return the keys with it.

    Raises SecretError where it cannot be written; then nothing has changed.
    """
    with _locked(folder, owner) as handle:
        if next_of(name) not in files.names(handle):
            unfinished = f".{next_of(name)}.new"
            files.write(handle, unfinished, owner)
            files.replace(handle, unfinished, next_of(name))
    return Keys.open(folder, owner)


def finish(folder: Path, name: str, now: datetime, owner: Owner | None = None) -> Keys:
    """Put the next key in the place of the one in use, which leaves the disk, and return the keys.

    Of `token` its private half stays beside for `KEPT`, of `signing` its public half for ever. Raises SecretError.
    """
    with _locked(folder, owner) as handle:
        there = files.names(handle)
        if next_of(name) in there:
            if name in ("token", "signing"):
                _keep(folder, handle, name, now, owner)
            files.replace(handle, next_of(name), file_of(name))
    return Keys.open(folder, owner)


def settle(folder: Path, ids: Mapping[str, str], now: datetime, owner: Owner | None = None) -> Keys:
    """Finish the rotations that a bundle in force was made under, whose manifest names `ids`; return the keys.

    Those that it does not name wait: a bundle that does may be on its way. Raises SecretError.
    """
    keys = Keys.open(folder, owner)
    for name in UNDER_BUNDLE:
        if name in keys.next and keys.after(name).ids[name] == ids.get(name):
            keys = finish(folder, name, now, owner)
    return keys


def resume(folder: Path, ids: Mapping[str, str], now: datetime, owner: Owner | None = None) -> Keys:
    """At a start: settle, finish a token's rotation, and give up those that no bundle was made under.

    `ids` are of a manifest that was verified, and is the newest that there is. Raises SecretError.
    """
    with _locked(folder, owner) as handle:
        for name in files.names(handle):
            if name.startswith(".") and name.endswith(".new"):  # half written, and it would be a key's last copy
                files.remove(handle, name)
    keys = settle(folder, ids, now, owner)
    if "token" in keys.next:
        # Notices may have been sealed under it: whether any were, nobody knows any more.
        keys = finish(folder, "token", now, owner)
    for name in UNDER_BUNDLE:
        if name in keys.next and ids.get(name) == keys.ids[name]:
            with _locked(folder, owner) as handle:
                files.remove(handle, next_of(name))
    return Keys.open(folder, owner)


def expire(folder: Path, now: datetime, owner: Owner | None = None) -> int:
    """Remove what is kept of tokens' keys and opens nothing valid any more; return how many. Raises SecretError."""
    with _locked(folder, owner) as handle:
        old = [name for name in files.names(handle) if (since := _since(name)) is not None and now - since > KEPT]
        for name in old:
            files.remove(handle, name)
        return len(old)


@contextmanager
def _locked(folder: Path, owner: Owner | None) -> Iterator[int]:
    with files.opened(folder, owner) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        except OSError as exc:
            raise SecretError(f"{folder.name}: keys cannot be written: {exc.strerror}") from exc


def _keep(folder: Path, handle: int, name: str, now: datetime, owner: Owner | None) -> None:
    """Write what is kept of the key in use beside it, on the disk before the key itself goes."""
    key = files.read(folder, handle, file_of(name), owner)
    there = files.names(handle)
    while (kept := f"{name}-{now.astimezone(UTC):{_STAMP}}.{'key' if name == 'token' else 'pub'}") in there:
        now += timedelta(seconds=1)  # a key that was replaced a moment ago stays too
    files.write(handle, f".{kept}.new", owner, key if name == "token" else public_half(name, key))
    files.replace(handle, f".{kept}.new", kept)


def _since(name: str) -> datetime | None:
    """Return when the key in a file of a token's previous private half was replaced; None for any other file."""
    try:
        return datetime.strptime(name, f"token-{_STAMP}.key").replace(tzinfo=UTC)
    except ValueError:
        return None
