"""Paths inside a folder or an archive: relative, plain, never upwards."""

from __future__ import annotations

from filterproxy.errors import SourceError

MAX_PATH = 1024
"""Characters of a path at most."""
MAX_DOCUMENTS = 10_000
"""Documents of a source at most, and folders."""


def plain(path: str) -> str:
    """Return a path of an archive without `./` and a slash at its end.

    Raises SourceError where it is absolute, leads upwards, is too long or could not be shown: an archive that holds
    one such name was made to do harm.
    """
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or len(path) > MAX_PATH or not path.isprintable() or "\\" in path:
        raise SourceError("it holds an odd path")
    return "/".join(part for part in parts if part not in ("", "."))


def folder(within: str) -> str:
    """Return the setting `within` as such a path. Raises SourceError."""
    try:
        return plain(within)
    except SourceError:
        raise SourceError("within: write a folder inside the source, such as adult/urls") from None


def below(path: str, within: str) -> str | None:
    """Return a plain path relative to `within`, or None where it is not below it, or hidden."""
    if within:
        if not path.startswith(f"{within}/"):
            return None
        path = path.removeprefix(f"{within}/")
    return None if any(part.startswith(".") for part in path.split("/")) else path
