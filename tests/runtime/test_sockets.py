"""Sockets are bound once, or the key whose address cannot be had is named."""

from __future__ import annotations

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


def test_the_control_socket_is_the_owners_alone(tmp_path):
    """0600 from the first moment; what a dead product left is replaced."""
    unix(tmp_path / "s").close()
    sock = unix(tmp_path / "s")
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    sock.close()
    with pytest.raises(ConfigError, match="107"):
        unix(tmp_path / ("x" * 108))
