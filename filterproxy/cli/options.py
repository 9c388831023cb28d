"""Options that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Option("-c", "--config", metavar="FILE", help="The configuration file.")]
DEFAULT_CONFIG = Path("config/filterproxy.toml")
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]

_CHUNK = 1 << 16


def targets(given: list[str], before_waiting: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Yield the targets given, each line of standard input for `-`. Bytes that are not UTF-8 survive as surrogates.

    `before_waiting` is called before input is waited for, so that a program that asks line by line is answered.
    """
    for target in given:
        if target != "-":
            yield target
            continue
        rest = b""
        while chunk := _read(before_waiting):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.removesuffix(b"\r").decode("utf-8", "surrogateescape")
        if rest:
            yield rest.decode("utf-8", "surrogateescape")


def _read(before_waiting: Callable[[], None]) -> bytes:
    before_waiting()
    return os.read(sys.stdin.fileno(), _CHUNK)


def printable(text: str) -> str:
    """Return what a person may read of a text that somebody else wrote: no control character reaches the terminal."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


class Printer:
    """Gathers lines and writes many at once."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._size = 0

    def line(self, text: str) -> None:
        """Print a line, sooner or later."""
        self._lines.append(text)
        self._size += len(text)
        if self._size >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        """Print now."""
        if self._lines:
            self._lines.append("")
            sys.stdout.buffer.write("\n".join(self._lines).encode("utf-8", "surrogateescape"))
            self._lines, self._size = [], 0
        sys.stdout.flush()
