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
_LONG_TURN = 10_000_000
"""Nanoseconds: half of what a cached answer may take in a flood."""
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
"""struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period (sched_setattr(2))."""


def after_others() -> None:
    """Have this thread, for good, take its turn after those of other threads and processes."""
    thread = threading.get_native_id()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, max(_NICE, os.getpriority(os.PRIO_PROCESS, thread)))


def last_of_all() -> None:
    """Have this thread, and those that it starts, run only where nobody else wants the processor.

    Whoever wakes takes it from them at once, also one that does so from nobody else (see `one_by_one`). Where nothing
    of the processor is left they hardly move: a three-hundredth of what others get.
    """
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def one_by_one() -> None:
    """Ask for long turns for this thread, and to wait, when it wakes, for the turn of whoever runs to end.

    For those who share a processor with their like: what arrives meanwhile is then done at once, and they do not keep
    taking processor and caches from each other for a few packets. See SCHED_BATCH in sched(7).
    """
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        _ask_for_turns(os.SCHED_BATCH, _LONG_TURN)


def soon_and_short() -> None:
    """Ask for short turns for this thread, which therefore come soon (Linux 6.12 and newer).

    One that works for less than that at a time then waits for nobody who works for long.
    """
    if os.sched_getscheduler(0) == os.SCHED_OTHER:
        _ask_for_turns(os.SCHED_OTHER, _TURN)


def _ask_for_turns(policy: int, length: int) -> None:
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = _ATTRIBUTES.pack(_ATTRIBUTES.size, policy, 0, nice, 0, length, 0, 0)
    ctypes.CDLL(None).syscall(ctypes.c_long(number), ctypes.c_int(0), wanted, ctypes.c_uint(0))
