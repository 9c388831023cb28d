"""Many datagrams in one system call: recvmmsg(2) and sendmmsg(2), reached by ctypes.

Entering the kernel costs more than nearly anything that is done with a datagram, so it is done once for up to 64. A
reply is written over the question it answers, and leaves with the same header: to where the question came from, and
from the address that it was sent to (IP_PKTINFO), which on a machine with several is not the one that routing chooses.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
from array import array
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MOST: Final = 64
"""Datagrams that are read or sent at once."""
ROOM: Final = 4096
"""Bytes that are kept for each; what is longer arrives cut."""
CUT: Final = 300
"""Datagrams of fewer bytes are short."""
NAME: Final = 28
"""Bytes of the largest address, `sockaddr_in6`."""
CONTROL: Final = 64
"""Bytes for what the kernel tells beside a datagram: room for one `in6_pktinfo`."""

_IP_PKTINFO: Final = 8
_FULL: Final = frozenset((errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM))


class _Vector(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Head(ctypes.Structure):
    """`struct msghdr`."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """`struct mmsghdr`: with the number of bytes that were read."""

    _fields_ = (("head", _Head), ("length", ctypes.c_uint))


STRIDE: Final = ctypes.sizeof(_Message)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_libc.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_recvmmsg, _sendmmsg = _libc.recvmmsg, _libc.sendmmsg


def tell_addresses(sock: socket.socket) -> bool:
    """Have the kernel tell to which address each datagram came, where `sock` takes those of several.

    Return whether it does.
    """
    host = sock.getsockname()[0]
    if host == "0.0.0.0":
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    elif host == "::":
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        return False
    return True


class Batch:
    """Room for `MOST` datagrams with their addresses. Not to be used by two threads, nor for two sockets at once.

    `named` sockets are not connected, so each datagram has an address; `told` ones took part in `tell_addresses`.
    Datagram `i` lies in `data` at `i * ROOM`, its address in `names` at `i * NAME`.
    """

    def __init__(self, *, named: bool = True, told: bool = False) -> None:
        self.data, self.names, self.controls = (mmap.mmap(-1, MOST * size) for size in (ROOM, NAME, CONTROL))
        messages, vectors = (_Message * MOST)(), (_Vector * MOST)()
        data, names, controls = (_address(memory) for memory in (self.data, self.names, self.controls))
        for at, (message, vector) in enumerate(zip(messages, vectors, strict=True)):
            vector.base, vector.length = data + at * ROOM, ROOM
            head = message.head
            head.vectors, head.vector_count = ctypes.addressof(vector), 1
            if named:
                head.name, head.name_length = names + at * NAME, NAME
            if told:
                head.control, head.control_length = controls + at * CONTROL, CONTROL
        self._at, self._heads, self._vectors = ctypes.addressof(messages), _bytes(messages), _bytes(vectors)
        self._fresh_heads, self._fresh_vectors = bytes(self._heads), bytes(self._vectors)
        words, sizes = self._heads.cast("I"), self._vectors.cast("Q")
        self._lengths = words[_Message.length.offset // 4 :: STRIDE // 4]
        self.name_lengths = words[_Head.name_length.offset // 4 :: STRIDE // 4]
        self.control_lengths = self._heads.cast("Q")[_Head.control_length.offset // 8 :: STRIDE // 8]
        self.sizes = sizes[_Vector.length.offset // 8 :: 2]
        """How many bytes of each are sent. Set it to a reply's."""
        self.told = told
        self.cuts = _cuts()
        """By place and length, where a short datagram less its first two bytes lies in `data`. A slice that is there
        costs half of one that is to be made."""

    def receive(self, fd: int) -> list[int]:
        """Read what waits in the socket `fd` and return the length of each datagram in bytes; none where none waits.

        Raises OSError where an earlier datagram was refused on a connected socket.
        """
        self._heads[:], self._vectors[:] = self._fresh_heads, self._fresh_vectors
        count = _recvmmsg(fd, self._at, MOST, socket.MSG_DONTWAIT, None)
        if count < 0:
            code = ctypes.get_errno()
            if code in (errno.EAGAIN, errno.EINTR):
                return []
            raise OSError(code, os.strerror(code))
        return self._lengths[:count].tolist()

    def reply(self, fd: int, sizes: Sequence[int], without: Collection[int]) -> int:
        """Send what was written over the datagrams last read, of `sizes` bytes each, but none of those at `without`.

        Return how many the kernel did not take.
        """
        count = len(sizes)
        self.sizes[:count] = array("Q", sizes)
        if without:
            self._keep([place for place in range(count) if place not in without])
        return self.send(fd, count - len(without))

    def _keep(self, places: Sequence[int]) -> None:
        """Move the headers of `places`, which ascend, to the front, so that `send` finds them."""
        for to, place in enumerate(places):
            if to != place:
                self._heads[to * STRIDE : (to + 1) * STRIDE] = self._heads[place * STRIDE : (place + 1) * STRIDE]

    def forget_interface(self, place: int, *, six: bool) -> None:
        """Let routing choose the way of a reply, and the kernel's note to `place` only the address it comes from.

        A link-local address means nothing without its interface, so there it stays.
        """
        at = place * CONTROL + (32 if six else 16)  # behind the header of 16 bytes; in6_pktinfo begins with the address
        if six and self.controls[at - 16] == 0xFE and self.controls[at - 15] & 0xC0 == 0x80:
            return
        self.controls[at : at + 4] = b"\0\0\0\0"

    def control(self, place: int, *, six: bool) -> bytes:
        """Return what the kernel told beside the datagram at `place`, to be sent with its reply later."""
        if not self.told:
            return b""
        self.forget_interface(place, six=six)
        return self.controls[place * CONTROL : place * CONTROL + self.control_lengths[place]]

    def put(self, place: int, packet: bytes, name: bytes = b"", control: bytes = b"") -> None:
        """Write a datagram of at most `ROOM` bytes, to be sent to the address `name` with what `control` says."""
        self.data[place * ROOM : place * ROOM + len(packet)] = packet
        self.sizes[place] = len(packet)
        if name:
            self.names[place * NAME : place * NAME + len(name)] = name
            self.name_lengths[place] = len(name)
        if self.told:
            self.controls[place * CONTROL : place * CONTROL + len(control)] = control
            self.control_lengths[place] = len(control)

    def send(self, fd: int, count: int) -> int:
        """Send the first `count` datagrams and return how many the kernel did not take: UDP promises nothing."""
        done = lost = 0
        while done < count:
            sent = _sendmmsg(fd, self._at + done * STRIDE, count - done, socket.MSG_DONTWAIT)
            if sent < 0:
                code = ctypes.get_errno()
                if code == errno.EINTR:
                    continue
                if code in _FULL:
                    return lost + count - done
                sent, lost = 1, lost + 1  # this one cannot be sent, to port 0 perhaps; what follows can
            done += sent
        return lost


class Packets:
    """Datagrams of connected sockets, whole. One serves all sockets of a process, for it keeps nothing in between."""

    def __init__(self) -> None:
        self._batch = Batch(named=False)

    def receive(self, fd: int) -> list[bytes]:
        """Return what waits in the socket `fd`, at most `MOST`. Raises OSError where the other side refused."""
        data = self._batch.data
        return [data[at * ROOM : at * ROOM + size] for at, size in enumerate(self._batch.receive(fd))]

    def send(self, fd: int, packets: Sequence[bytes]) -> int:
        """Send at most `MOST` packets and return how many the kernel did not take."""
        for place, packet in enumerate(packets):
            self._batch.put(place, packet)
        return self._batch.send(fd, len(packets))


@cache
def _cuts() -> list[list[slice]]:
    return [[slice(at + 2, at + length) for length in range(CUT)] for at in range(0, MOST * ROOM, ROOM)]


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _bytes(array: ctypes.Array[_Message] | ctypes.Array[_Vector]) -> memoryview:
    return memoryview(array).cast("B")
