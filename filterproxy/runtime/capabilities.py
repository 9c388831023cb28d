"""The capabilities that a product needs which is not root's: to bind ports below 1024, raised to bind, then gone; and
to speak in the addresses of clients, where origins are to see these, which edge workers keep.

A file capability that is only permitted lets the interpreter start where the container was given none (then binding
says what is missing), and here it is made effective. See capabilities(7); _linux_capability_version_3.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

_VERSION_3 = 0x20080522
_NET_BIND_SERVICE, _NET_ADMIN, _NET_RAW = 10, 12, 13
_TO_BIND = 1 << _NET_BIND_SERVICE | 1 << _NET_ADMIN | 1 << _NET_RAW
"""The last two for TPROXY: either will do."""
_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _RAISE, _CLEAR_ALL = 8, 47, 2, 4


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Half(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@dataclass(frozen=True, slots=True)
class Held:
    """The capabilities of this thread, a bit each. Before other threads run, those are the process's."""

    effective: int
    permitted: int
    inheritable: int


def held() -> Held:
    """Return what this thread may do, and what it does."""
    halves = (_Half * 2)()
    _call("capget", halves)
    low, high = halves
    return Held(*(getattr(low, name) | getattr(high, name) << 32 for name in Held.__slots__))


def raise_bind() -> None:
    """Make effective what it takes to bind, as far as it is permitted."""
    now = held()
    wanted = now.permitted & _TO_BIND
    if wanted & ~now.effective:
        _set(Held(now.effective | wanted, now.permitted, now.inheritable))


def stay_permitted() -> None:
    """Keep what is permitted through a change of user, until `keep_raw`."""
    _prctl(_PR_SET_KEEPCAPS, 1)


def keep_raw() -> bool:
    """Give up all but NET_RAW, which this process does not use and what it starts is given; False where it may not.

    What it starts and does not need it calls `give_up`.
    """
    if os.geteuid() == 0:
        return True
    raw = held().permitted & (1 << _NET_RAW)
    _set(Held(0, raw, raw))
    if raw:
        _prctl(_PR_CAP_AMBIENT, _RAISE, _NET_RAW)
    return bool(raw)


def give_up() -> None:
    """Give every capability up, also for what this process starts. Root is let alone: it has other ways."""
    if os.geteuid() == 0:
        return
    _prctl(_PR_CAP_AMBIENT, _CLEAR_ALL)
    _set(Held(0, 0, 0))


def _prctl(option: int, value: int, more: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(more), 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _set(wanted: Held) -> None:
    halves = (_Half * 2)()
    for place, half in enumerate(halves):
        for name in Held.__slots__:
            setattr(half, name, getattr(wanted, name) >> (32 * place) & 0xFFFF_FFFF)
    _call("capset", halves)


def _call(name: str, halves: ctypes.Array[_Half]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(ctypes.byref(_Header(_VERSION_3, 0)), halves) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
