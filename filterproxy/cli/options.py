"""Options that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Option("-c", "--config", metavar="FILE", help="The configuration file.")]
DEFAULT_CONFIG = Path("config/filterproxy.toml")
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]

_CHUNK = 1 << 16


def targets(given: list[str]) -> Iterator[str]:
    """Yield the targets given, each line of standard input for `-`. Bytes that are not UTF-8 survive as surrogates."""
    for target in given:
        if target != "-":
            yield target
            continue
        for line in sys.stdin.buffer:
            yield line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")


class Printer:
    """Gathers lines and writes many at once; on a terminal or pipe that waits, each batch of input is answered."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._size = 0

    def line(self, text: str) -> None:
        """Print a line, sooner or later."""
        self._lines.append(text)
        self._size += len(text)
        if self._size >= _CHUNK or sys.stdout.isatty():
            self.flush()

    def flush(self) -> None:
        """Print now."""
        if self._lines:
            self._lines.append("")
            sys.stdout.buffer.write("\n".join(self._lines).encode("utf-8", "surrogateescape"))
            self._lines, self._size = [], 0
        sys.stdout.flush()
