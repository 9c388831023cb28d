"""What is written to standard error: fixed event names with a few fields, never an address, a URL or a client.

An exception is told by its class and the place that raised it, for its text may hold what was asked. Records of
other people's libraries are cut down to their name and level for the same reason.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sys
import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

_OURS = "filterproxy"
_QUIET = 60.0
"""Seconds between two lines of what could not be raised, of one kind."""

Value = str | int | float | bool | None


def event(log: logging.Logger, level: int, name: str, /, **fields: Value) -> None:
    """Log the event `name` with `fields`."""
    log.log(level, name, extra={"fields": fields})


def failed(log: logging.Logger, name: str, exc: BaseException, level: int = logging.ERROR, /, **fields: Value) -> None:
    """Log the event `name` with the class of `exc` and the place that raised it."""
    log.log(level, name, extra={"fields": {**fields, **_exception(exc)}})


def _exception(exc: BaseException) -> dict[str, Value]:
    return {"error": type(exc).__name__, "at": _place(exc.__traceback__)}


def _place(trace: TracebackType | None) -> str:
    """Return module:line of our own innermost frame, else of the innermost."""
    ours = last = ""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", "?"))
        last = f"{module}:{trace.tb_lineno}"
        if module.startswith(_OURS):
            ours = last
        trace = trace.tb_next
    return ours or last


def set_up(level: str, form: str, process: str) -> None:
    """Send all logging of this process to standard error, as `form` (text or json), and stray exceptions too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(process) if form == "json" else _Text(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(level.upper())
    log = logging.getLogger(f"{_OURS}.runtime")
    sys.excepthook = lambda _, exc, __: failed(log, "uncaught_exception", exc, logging.CRITICAL)
    sys.unraisablehook = _Unraisable(log)
    threading.excepthook = lambda args: failed(log, "thread_failed", args.exc_value or RuntimeError())
    logging.raiseExceptions = False  # its report would print the message


class _Unraisable:
    """Tells of what could not be raised: of one kind once a minute, for some of it clients cause as they like.

    One that is called by a name that is not ASCII, in TLS, is such a client (see filterproxy.dns.tls).
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._told: dict[str, float] = {}

    def __call__(self, args: sys.UnraisableHookArgs) -> None:
        exc, now = args.exc_value or RuntimeError(), time.monotonic()
        kind = type(exc).__name__
        if now - self._told.get(kind, -math.inf) >= _QUIET:
            self._told[kind] = now
            failed(self._log, "unraisable_exception", exc)


def loop_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Take what nobody caught on an event loop; asyncio's own handler would print the callback's arguments."""
    log = logging.getLogger(f"{_OURS}.runtime")
    failed(log, "loop_exception", context.get("exception") or RuntimeError())


def _fields(record: logging.LogRecord) -> dict[str, Value]:
    """Return what of `record` may be shown."""
    if not (record.name == _OURS or record.name.startswith(f"{_OURS}.")):
        told: dict[str, Value] = {"event": "library", "logger": record.name}
    else:
        told = {"event": record.getMessage(), **getattr(record, "fields", {})}
    if record.exc_info and record.exc_info[1] is not None:
        told |= _exception(record.exc_info[1])
    return told


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Text(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        told = _fields(record)
        name = told.pop("event")
        rest = "".join(f" {key}={_plain(value)}" for key, value in told.items())
        return f"{_time(record)} {record.levelname.lower():<8} {self._process:<10} {name}{rest}"


class _Json(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        head = {"time": _time(record), "level": record.levelname.lower(), "process": self._process}
        return json.dumps(head | _fields(record), default=str)


def _plain(value: Value) -> str:
    text = str(value)
    return json.dumps(text) if not text or any(mark in text for mark in ' "=\n\r') else text
