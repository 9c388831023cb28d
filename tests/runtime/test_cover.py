"""Who reads the socket of a worker that is away."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from filterproxy.runtime.channel import ChannelError
from filterproxy.runtime.children import Child
from filterproxy.runtime.cover import Cover
from filterproxy.settings import load_text


class Told:
    """Stands for a channel: notes what was told, or is gone."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int, list[int]]] = []
        self.gone = False

    def tell(self, kind: str, body: dict[str, Any], fds: list[int]) -> None:
        if self.gone:
            raise ChannelError("the process is gone")
        self.said.append((kind, body["socket"], list(fds)))


def worker(number: int, sockets: list[socket.socket]) -> tuple[Child, Any]:
    child = Child("edge", f"edge-{number}", load_text(""), sockets=[("dns_udp", sock) for sock in sockets])
    channel: Any = Told()
    child.channel, child.ready = channel, True
    return child, channel


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    made = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(3)]
    yield made
    for sock in made:
        sock.close()


def test_a_socket_is_covered_while_its_worker_is_away(sockets):
    """Told once, by its descriptor, and taken back as soon as its own worker serves."""
    (first, told), (second, _) = worker(0, sockets[:1]), worker(1, sockets[1:2])
    cover, number = Cover(), sockets[1].fileno()
    cover.settle([first, second], sockets[:2])
    assert (told.said, cover.covered) == ([], 0)
    second.ready = False
    for _ in range(2):
        cover.settle([first, second], sockets[:2])
    assert (told.said, cover.covered) == ([("cover", number, [number])], 1)
    second.ready = True
    cover.settle([first, second], sockets[:2])
    assert told.said[1:] == [("uncover", number, [])]
    assert cover.covered == 0


@pytest.mark.parametrize("how", ["doubted", "ending"])
def test_one_that_is_silent_or_told_to_end_is_covered_too(sockets, how):
    """It may still read: two readers lose nothing."""
    (first, told), (second, _) = worker(0, sockets[:1]), worker(1, sockets[1:2])
    setattr(second, how, True)
    Cover().settle([first, second], sockets[:2])
    assert [kind for kind, *_ in told.said] == ["cover"]


def test_the_cover_of_one_that_dies_passes_on(sockets):
    """Both its own and what it read for another; those who are left share them."""
    made = [worker(number, [sock]) for number, sock in enumerate(sockets)]
    children, cover = [child for child, _ in made], Cover()
    children[0].ready = False
    cover.settle(children, sockets)
    (covering,) = [number for number, (_, told) in enumerate(made) if told.said]
    made[covering][1].gone, children[covering].ready = True, False
    left = 3 - covering
    made[left][1].said.clear()
    cover.settle(children, sockets)
    assert {number for kind, number, _ in made[left][1].said if kind == "cover"} == {
        sockets[0].fileno(), sockets[covering].fileno(),
    }  # fmt: skip
    assert cover.covered == 2


def test_who_cannot_be_told_covers_nothing(sockets):
    """Its end is about to be noticed; then somebody else is told."""
    (first, told), cover = worker(0, sockets[:1]), Cover()
    told.gone = True
    cover.settle([first], sockets[:2])
    assert cover.covered == 0
    told.gone = False
    cover.settle([first], sockets[:2])
    assert cover.covered == 1


def test_alone_nobody_is_told(sockets):
    """What waits in the kernel waits for the replacement."""
    (first, told), cover = worker(0, sockets[:1]), Cover()
    first.ready = False
    cover.settle([first], sockets[:1])
    assert (told.said, cover.covered) == ([], 0)


def test_a_socket_that_is_to_be_closed_is_left_first(sockets):
    """A reload has taken its address away."""
    (first, told), cover = worker(0, sockets[:1]), Cover()
    cover.settle([first], sockets[:2])
    cover.settle([first], sockets[:1])
    assert [kind for kind, *_ in told.said] == ["cover", "uncover"]
