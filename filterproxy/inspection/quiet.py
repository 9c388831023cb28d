"""Other people's log lines, cut down to where they come from and what class of error they report.

mitmproxy and the libraries under it log addresses, heads and bodies. Nothing of theirs reaches a handler but errors,
and of these only the names.
"""

from __future__ import annotations

import logging
import time
from typing import Final

_LOUD: Final = ("mitmproxy", "asyncio", "h2", "hpack", "hyperframe", "wsproto", "aioquic", "quic", "OpenSSL")
_SAME_AGAIN_SECONDS: Final = 60.0

log = logging.getLogger("filterproxy.inspection")


def quieten() -> None:
    """Cut these libraries off from every handler of this process. May be called again."""
    for name in _LOUD:
        library = logging.getLogger(name)
        library.propagate = False
        library.setLevel(logging.ERROR)
        library.handlers[:] = [_Names()]


class _Names(logging.Handler):
    """Reports an error by its logger and class, the same one at most once a minute."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._last: dict[tuple[str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "none"
        now = time.monotonic()
        if now - self._last.get((record.name, error), -_SAME_AGAIN_SECONDS) < _SAME_AGAIN_SECONDS:
            return
        self._last[record.name, error] = now
        log.error("library_error", extra={"fields": {"logger": record.name, "error": error}})
