"""The one capability that a product needs which is not root's: to bind ports below 1024. Raised to bind, then gone.

A file capability that is only permitted lets the interpreter start where the container was given none (then binding
says what is missing), and here it is made effective. See capabilities(7); _linux_capability_version_3.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

_VERSION_3 = 0x20080522
_NET_BIND_SERVICE = 10
_PR_CAP_AMBIENT, _CLEAR_ALL = 47, 4


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
    """Make NET_BIND_SERVICE effective where it is permitted; else do nothing."""
    now = held()
    wanted = now.permitted & (1 << _NET_BIND_SERVICE)
    if wanted & ~now.effective:
        _set(Held(now.effective | wanted, now.permitted, now.inheritable))


def give_up() -> None:
    """Give every capability up, also for what this process starts. Root is let alone: it has other ways."""
    if os.geteuid() == 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the ambient capabilities were not given up")
    _set(Held(0, 0, 0))


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
