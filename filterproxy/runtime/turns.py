"""Who goes first where processors are few: answers before lists. A kernel that takes no such advice is left alone."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import threading
from contextlib import suppress

_NICE = 10
"""A tenth of what others get, where these want all: a list is read all the same, and no look at the portal waits long
for a thread that holds the interpreter and does not run."""
_TURN = 100_000
"""Nanoseconds, the least that Linux takes."""
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
"""struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period (sched_setattr(2))."""


def after_others() -> None:
    """Have this thread, for good, take its turn after those of other threads and processes."""
    thread = threading.get_native_id()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, max(_NICE, os.getpriority(os.PRIO_PROCESS, thread)))


def soon_and_short() -> None:
    """Ask for short turns for this thread, which therefore come soon (Linux 6.12 and newer).

    One that works for less than that at a time then waits for nobody who works for long.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, _TURN, 0, 0)
    ctypes.CDLL(None).syscall(ctypes.c_long(number), ctypes.c_int(0), wanted, ctypes.c_uint(0))
