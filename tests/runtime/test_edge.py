"""The sockets of workers that are away, as the one that reads them sees it."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from filterproxy.runtime.edge import Others


class Serving:
    """Stands for the DNS server: notes what it reads."""

    def __init__(self) -> None:
        self.reads: list[socket.socket] = []

    def add_udp(self, sock: socket.socket) -> None:
        self.reads.append(sock)

    def remove_udp(self, sock: socket.socket) -> None:
        self.reads.remove(sock)


def lent() -> int:
    """Return a descriptor of a socket, as a message brings it."""
    return socket.socket(type=socket.SOCK_DGRAM).detach()


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_a_socket_stays_open_until_the_last_question_from_it_is_answered():
    """However long that takes: its number must not be another's when the answer leaves. Then it is closed."""
    serving: Any = Serving()
    others, fd = Others(serving, asyncio.Event()), lent()
    others.cover({"socket": 7}, [fd])
    (held_by_a_question,) = serving.reads
    others.uncover({"socket": 7}, [])
    assert serving.reads == []
    assert is_open(fd)
    del held_by_a_question
    assert not is_open(fd)


def test_who_ends_reads_nothing_more():
    """What it took during its drain nobody would answer."""
    serving: Any = Serving()
    stop, fd = asyncio.Event(), lent()
    stop.set()
    Others(serving, stop).cover({"socket": 7}, [fd])
    assert serving.reads == []
    assert not is_open(fd)


def test_what_was_never_lent_is_given_back_in_silence():
    """A worker that is new is told so, too, where the one before it read for another."""
    serving: Any = Serving()
    others, fd = Others(serving, asyncio.Event()), lent()
    others.uncover({"socket": 7}, [fd])
    assert not is_open(fd)
