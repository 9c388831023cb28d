"""Sockets are bound once, or the key whose address cannot be had is named."""

from __future__ import annotations

import errno
import socket
import stat

import pytest

from filterproxy.errors import ConfigError
from filterproxy.runtime.sockets import bind, unix
from filterproxy.settings import load_text

ALL = frozenset({"control", "edge", "inspector"})


def text(port: int, **tables: str) -> str:
    named = {"portal": "", "console": "", "metrics": "", **tables}
    off = "".join(f"[{name}]\n{body or 'enabled = false'}\n" for name, body in named.items())
    return f'[dns]\nlisten = ["127.0.0.1:{port}"]\n[gateway]\nlisten = "127.0.0.1:1"\n{off}'


def test_dns_is_bound_over_udp_and_tcp(free_port):
    """The same address for both, listening, and kept until it is closed."""
    found = bind(load_text(text(free_port)), frozenset({"edge"}))
    assert [(use, sock.getsockname()[1]) for use, sock in found.named("dns_udp", "dns_tcp")] == [
        ("dns_udp", free_port), ("dns_tcp", free_port),
    ]  # fmt: skip
    found.close()


@pytest.mark.parametrize("key", ["portal", "console", "metrics"])
def test_a_taken_address_is_told_with_its_key(free_port, key):
    """Nothing stays bound then."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        settings = load_text(text(free_port, **{key: f'listen = "127.0.0.1:{taken}"'}))
        with pytest.raises(ConfigError, match=f"^{key}.listen: 127.0.0.1:{taken}/tcp is taken"):
            bind(settings, ALL - {"inspector"})
    with socket.create_server(("127.0.0.1", free_port)):
        pass


def test_what_a_role_does_not_serve_is_not_bound(free_port):
    """An edge alone has no portal."""
    found = bind(load_text(text(free_port, portal='listen = "127.0.0.1:1"')), frozenset({"edge"}))
    assert list(found.named("portal")) == []
    found.close()


def test_zones_are_given_where_somebody_gives_them(free_port):
    """Each address listens once; where the role is not asked for it is not bound."""
    table = f'[dns.transfer]\nlisten = ["127.0.0.1:{free_port}"]\ncertificate = "c"\nkey = "k"\n'
    settings = load_text(text(free_port) + table)
    found = bind(settings, frozenset({"transfer"}))
    assert [(use, sock.getsockname()[1]) for use, sock in found.named("transfer")] == [("transfer", free_port)]
    found.close()
    assert list(bind(settings, frozenset()).named("transfer")) == []


def test_the_control_socket_is_the_owners_alone(tmp_path):
    """0600 from the first moment; what a dead product left is replaced."""
    unix(tmp_path / "s").close()
    sock = unix(tmp_path / "s")
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    sock.close()
    with pytest.raises(ConfigError, match="107"):
        unix(tmp_path / ("x" * 108))


def with_workers(port: int, workers: int, more: str = "") -> str:
    return text(port) + f"[runtime]\nworkers = {workers}\n{more}"


def udp(given: list[tuple[str, socket.socket]]) -> list[socket.socket]:
    return [sock for use, sock in given if use == "dns_udp"]


def test_each_worker_has_its_own_udp_socket_and_all_share_the_listening_one(free_port):
    """All at one address; a datagram is in exactly one of them."""
    found = bind(load_text(with_workers(free_port, 3)), frozenset({"edge"}))
    given = [found.of_edge(number, 3) for number in range(3)]
    assert [[use for use, _ in each] for each in given] == [["dns_udp", "dns_tcp", "gateway"]] * 3
    assert len({sock for each in given for sock in udp(each)}) == 3
    assert len({sock for each in given for use, sock in each if use == "dns_tcp"}) == 1
    for _ in range(30):
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(b"x", ("127.0.0.1", free_port))
    waiting = [_drained(udp(each)[0]) for each in given]
    assert sum(waiting) == 30
    assert all(waiting)
    found.close()


def test_with_fewer_workers_those_left_read_what_is_left(free_port):
    """No socket is closed, for what waits in it would be lost; with more again each has its own."""
    first = bind(load_text(with_workers(free_port, 3)), frozenset({"edge"}))
    found = first.rebound(load_text(with_workers(free_port, 2)), frozenset({"edge"}))
    found.grow(2)
    assert [len(udp(found.of_edge(number, 2))) for number in range(2)] == [2, 1]
    assert [len(udp(found.of_edge(number, 3))) for number in range(3)] == [1, 1, 1]
    found.release()
    assert all(sock.fileno() >= 0 for _, sock in found.named("dns_udp", "dns_tcp"))
    found.close()


def test_a_worker_for_whom_there_is_no_socket_shares_one(free_port, monkeypatch, caplog):
    """As where privileges were dropped, and the kernel lets no other user's socket into the group."""
    found = bind(load_text(with_workers(free_port, 1)), frozenset({"edge"}))

    def refused(*_: object) -> None:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr("filterproxy.runtime.sockets.socket.socket.bind", refused)
    grown = found.rebound(load_text(with_workers(free_port, 3)), frozenset({"edge"}))
    grown.grow(3)
    assert [udp(grown.of_edge(number, 3)) for number in range(3)] == [udp(found.of_edge(0, 1))] * 3
    assert [record.message for record in caplog.records] == ["workers_share_a_socket"]
    found.close()


def test_an_address_that_stays_keeps_its_socket_and_one_that_goes_is_closed(free_port):
    """Also where it is another key that has it now. Until it is released it can be had back."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = one.getsockname()[1], two.getsockname()[1]
    first, second = (
        load_text(text(free_port, portal=f'listen = "127.0.0.1:{here}"', console=f'listen = "127.0.0.1:{there}"'))
        for here, there in (ports, ports[::-1])
    )
    found = bind(first, frozenset({"control"}))
    swapped = found.rebound(second, frozenset({"control"}))
    assert list(swapped.named("portal")) == [("portal", sock) for _, sock in found.named("console")]
    fewer = load_text(text(free_port, portal=f'listen = "127.0.0.1:{ports[0]}"'))
    gone = swapped.rebound(fewer, frozenset({"control"}))
    back = gone.rebound(second, frozenset({"control"}))
    assert list(back.named("portal")) == list(swapped.named("portal"))
    gone.release()
    assert [sock.fileno() >= 0 for _, sock in swapped.named("portal", "console")] == [False, True]
    gone.close()


def test_what_cannot_be_had_leaves_the_others_as_they_were(free_port):
    """And what was bound for its sake is free again; the same address twice in one file is told, too."""
    found = bind(load_text(text(free_port)), frozenset({"edge", "control"}))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        wanted = f'[dns]\nlisten = ["127.0.0.1:{free_port}", "127.0.0.2:{free_port}"]\n[console]\nenabled = false\n'
        settings = load_text(f'{wanted}[portal]\nlisten = "127.0.0.1:{taken}"\n[metrics]\nenabled = false\n')
        with pytest.raises(ConfigError, match=r"^portal\.listen"):
            found.rebound(settings, frozenset({"edge", "control"}))
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.2", free_port))
    assert all(sock.fileno() >= 0 for _, sock in found.named("dns_udp", "dns_tcp"))
    found.close()
    same = f'listen = "127.0.0.1:{free_port}"'
    with pytest.raises(ConfigError, match=r"^console\.listen.*another key"):
        bind(load_text(text(free_port, portal=same, console=same)), frozenset({"control"}))


def _drained(sock: socket.socket) -> int:
    number = 0
    try:
        while sock.recv(10):
            number += 1
    except BlockingIOError:
        pass
    return number
