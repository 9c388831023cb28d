"""Many datagrams in one call, each with its address: answered from where it was sent to, whatever becomes of others."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from filterproxy.dns import batch
from filterproxy.dns.batch import MOST, NAME, ROOM, Batch, Packets, tell_addresses

NAME_LENGTHS = {socket.AF_INET: 16, socket.AF_INET6: 28}


@contextlib.contextmanager
def bound(host: str = "127.0.0.1") -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((host, 0))
        yield sock


def received(sock: socket.socket) -> list[bytes]:
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(sock.recv(65535))
    return found


def fill(room: Batch, replies: Sequence[bytes]) -> list[int]:
    for place, reply in enumerate(replies):
        room.data[place * ROOM : place * ROOM + len(reply)] = reply
    return [len(reply) for reply in replies]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
@pytest.mark.parametrize("later", [False, True])
def test_a_reply_comes_from_the_address_that_was_asked(host, later):
    """On a socket of all addresses too, at once or later, over IPv4 and IPv6."""
    asked = ["127.0.0.1", "127.0.0.77", "127.1.2.3", *(["::1"] if host == "::" else [])]
    with bound(host) as server, contextlib.ExitStack() as stack:
        assert tell_addresses(server)
        six, port = host == "::", server.getsockname()[1]
        clients = []
        for number, address in enumerate(asked):
            clients.append(stack.enter_context(bound("::1" if ":" in address else f"127.0.0.{50 + number}")))
            clients[-1].connect((address, port))  # so it takes a reply from nowhere else
            clients[-1].send(f"question {number}".encode())
        room, out = Batch(told=True), Batch(told=True)
        lengths = room.receive(server.fileno())
        assert lengths == [10] * len(asked)
        if later:
            size = NAME_LENGTHS[server.family]
            for place in range(len(lengths)):
                name = room.names[place * NAME : place * NAME + size]
                out.put(place, b"answer %d" % place, name, room.control(place, six=six))
            assert out.send(server.fileno(), len(lengths)) == 0
        else:
            for place in range(len(lengths)):
                room.forget_interface(place, six=six)
            sizes = fill(room, [b"answer %d" % place for place in range(len(lengths))])
            assert room.reply(server.fileno(), sizes, ()) == 0
        for number, client in enumerate(clients):
            assert received(client) == [b"answer %d" % number]


def test_a_socket_of_one_address_needs_no_note():
    """Its replies come from there anyway."""
    with bound() as server, bound() as client:
        assert not tell_addresses(server)
        client.connect(server.getsockname())
        client.send(b"question")
        room = Batch()
        assert room.receive(server.fileno()) == [8]
        assert room.control(0, six=False) == b""
        assert room.reply(server.fileno(), fill(room, [b"answer"]), ()) == 0
        assert received(client) == [b"answer"]


def test_only_those_are_replied_to_that_have_a_reply():
    """Whichever they are: each reply goes to whom it belongs."""
    with bound() as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(bound()) for _ in range(MOST)]
        room = Batch()
        for without in ([], [0], [MOST - 1], list(range(0, MOST, 2)), list(range(MOST - 1)), list(range(MOST))):
            for number, client in enumerate(clients):
                client.sendto(b"%d" % number, server.getsockname())
            lengths = room.receive(server.fileno())
            assert len(lengths) == MOST
            replies = [b"reply to " + room.data[at * ROOM : at * ROOM + size] for at, size in enumerate(lengths)]
            assert room.reply(server.fileno(), fill(room, replies), without) == 0
            for number, client in enumerate(clients):
                assert received(client) == ([] if number in without else [b"reply to %d" % number])


def test_more_than_fit_wait_in_the_socket():
    """They are read with the next call, and none is read twice."""
    with bound() as server, bound() as client:
        for number in range(MOST + 6):
            client.sendto(b"%d" % number, server.getsockname())
        room, found = Batch(), []
        for most in (MOST, 6, 0):
            lengths = room.receive(server.fileno())
            assert len(lengths) == most
            found += [room.data[at * ROOM : at * ROOM + size] for at, size in enumerate(lengths)]
        assert found == [b"%d" % number for number in range(MOST + 6)]


def test_datagrams_of_any_length_are_read():
    """None at all is one of no bytes; one longer than there is room for is cut and harms no other."""
    with bound() as server, bound() as client:
        sent = [b"", b"a", bytes(ROOM), b"x" * (ROOM + 1), b"y" * 60_000, b"z"]
        for item in sent:
            client.sendto(item, server.getsockname())
        room = Batch()
        assert room.receive(server.fileno()) == [0, 1, ROOM, ROOM, ROOM, 1]
        assert [room.data[at * ROOM : at * ROOM + 1] for at in (1, 2, 3, 4, 5)] == [b"a", b"\0", b"x", b"y", b"z"]
        for item in sent:  # nothing of the last reading is left in the headers
            client.sendto(item, server.getsockname())
        assert room.receive(server.fileno()) == [0, 1, ROOM, ROOM, ROOM, 1]


def test_one_that_cannot_be_sent_stops_no_other():
    """Nobody can be reached at port 0; it is counted as lost."""
    with bound() as server, bound() as client:
        room = Batch()
        host = socket.inet_aton("127.0.0.1")
        nobody = socket.AF_INET.to_bytes(2, "little") + b"\0\0" + host + bytes(8)
        there = socket.AF_INET.to_bytes(2, "little") + client.getsockname()[1].to_bytes(2) + host + bytes(8)
        for place in range(9):
            room.put(place, b"%d" % place, nobody if place in {0, 3, 4, 8} else there)
        assert room.send(server.fileno(), 9) == 4
        assert received(client) == [b"1", b"2", b"5", b"6", b"7"]


def partly(monkeypatch: pytest.MonkeyPatch, answers: list[int]) -> list[int]:
    """Have the kernel take what `answers` say: so many, or none and an error. Return how many it was asked to take."""
    asked: list[int] = []
    real = batch._sendmmsg

    def send(fd: int, at: int, count: int, flags: int) -> int:
        asked.append(count)
        most = answers.pop(0) if answers else count
        if most < 0:
            ctypes.set_errno(-most)
            return -1
        return int(real(fd, at, min(most, count), flags))

    monkeypatch.setattr(batch, "_sendmmsg", send)
    return asked


@pytest.mark.parametrize(("answers", "asked", "lost", "came"), [
    ([2, 1], [5, 3, 2], 0, [0, 1, 2, 3, 4]),
    ([-errno.EINTR, 2, -errno.EINTR], [5, 5, 3, 3], 0, [0, 1, 2, 3, 4]),
    ([2, -errno.EAGAIN], [5, 3], 3, [0, 1]),
    ([-errno.ENOBUFS], [5], 5, []),
    ([1, -errno.EPERM, 2], [5, 4, 3, 1], 1, [0, 2, 3, 4]),
    ([-errno.ECONNREFUSED, 1, -errno.EINVAL, 1, -errno.EAGAIN], [5, 4, 3, 2, 1], 3, [1, 3]),
])  # fmt: skip
def test_what_the_kernel_takes_in_parts_is_sent_once(monkeypatch, answers, asked, lost, came):
    """It goes on where it stopped; where buffers are full the rest is lost, for nobody waits with UDP."""
    with bound() as server, bound() as client:
        room = Batch(named=False)
        server.connect(client.getsockname())
        for place in range(5):
            room.put(place, b"%d" % place)
        calls = partly(monkeypatch, answers)
        assert room.send(server.fileno(), 5) == lost
        assert calls == asked
        assert received(client) == [b"%d" % number for number in came]


def test_buffers_that_are_full_lose_what_they_cannot_hold():
    """Sending never waits: what is lost is counted, and what was taken arrives."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        theirs.setblocking(False)
        packets = Packets()
        lost = packets.send(ours.fileno(), [bytes(1000)] * MOST)
        assert 0 < lost < MOST
        assert len(received(theirs)) == MOST - lost


def test_connected_sockets_send_and_receive_whole_datagrams():
    """One room serves many sockets in turn."""
    packets = Packets()
    with bound() as peer, bound() as first, bound() as second:
        for sock in (first, second):
            sock.connect(peer.getsockname())
            assert packets.send(sock.fileno(), [b"a", b"bc" * 500]) == 0
            assert received(peer) == [b"a", b"bc" * 500]
            for item in (b"", b"d", bytes(ROOM)):
                peer.sendto(item, sock.getsockname())
        for sock in (first, second):
            assert packets.receive(sock.fileno()) == [b"", b"d", bytes(ROOM)]
            assert packets.receive(sock.fileno()) == []
        assert packets.send(first.fileno(), []) == 0


def test_a_peer_that_is_not_there_is_told():
    """The refusal is an error of that socket, of which the next use of another knows nothing."""
    packets = Packets()
    with bound() as sock:
        with bound() as peer:
            sock.connect(peer.getsockname())
        assert packets.send(sock.fileno(), [b"a"]) == 0
        with pytest.raises(ConnectionRefusedError):
            packets.receive(sock.fileno())
        assert packets.receive(sock.fileno()) == []


def test_a_socket_that_is_closed_raises_and_loses():
    """A descriptor that is none is told when reading; what is sent there is lost."""
    packets = Packets()
    with pytest.raises(OSError, match="descriptor"):
        packets.receive(-1)
    assert packets.send(-1, [b"a"] * 3) == 3


def test_a_room_holds_no_descriptor():
    """Its memory is of no file, and goes with it."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(20):
            Batch(told=True)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
