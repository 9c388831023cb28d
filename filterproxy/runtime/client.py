"""The asking side of the control socket, for the command line. Blocking."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from filterproxy.errors import ControlError

from .memfd import mapped

SOCKET = "control.sock"
_LIMIT = 64 * 1024 * 1024
_MAX_FDS = 253


def ask(state: Path, request: dict[str, Any], timeout: float = 30.0) -> dict[str, Any]:
    """Return the running product's answer to `request`. Raises ControlError where it does not run or refuses."""
    reply, fds = _exchange(state, request, timeout)
    for fd in fds:
        os.close(fd)
    return reply


def bundle(state: Path, timeout: float = 10.0) -> tuple[dict[str, Any], dict[str, memoryview], bytes]:
    """Return what is in force: the manifest, each segment's buffer by its file, and the digest key.

    Raises ControlError.
    """
    reply, fds = _exchange(state, {"do": "bundle"}, timeout)
    try:
        names = reply["segments"]
        if len(fds) != len(names) + 1:
            raise ControlError("the running product sent an incomplete bundle; try again")
        with mapped(fds[0]) as key:
            digest_key = key[:]
        buffers = {name: memoryview(mapped(fd)) for name, fd in zip(names, fds[1:], strict=True)}
        return reply["manifest"], buffers, digest_key
    finally:
        for fd in fds:
            os.close(fd)


def runs(state: Path) -> bool:
    """Return whether a product listens on the state folder `state`; also where this user may not ask it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(str(state / SOCKET))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
        return True


def _exchange(state: Path, request: dict[str, Any], timeout: float) -> tuple[dict[str, Any], list[int]]:
    fds: list[int] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(str(state / SOCKET))
            sock.sendall(json.dumps(request).encode() + b"\n")
            data, fds, _, _ = socket.recv_fds(sock, 65536, _MAX_FDS, socket.MSG_CMSG_CLOEXEC)
            answer = bytearray(data)
            while data and not answer.endswith(b"\n") and len(answer) < _LIMIT:
                data = sock.recv(1024 * 1024)
                answer += data
        except (FileNotFoundError, ConnectionRefusedError) as exc:
            raise ControlError(f"filterproxy does not run on the state folder {state}") from exc
        except PermissionError as exc:
            raise ControlError(f"{state / SOCKET}: only root and the product's own user may ask") from exc
        except TimeoutError as exc:
            raise ControlError(f"no answer within {timeout:.0f} s") from exc
        except OSError as exc:
            raise ControlError(f"{state / SOCKET}: {exc.strerror}") from exc
    try:
        reply: dict[str, Any] = json.loads(answer)
    except ValueError as exc:
        _close(fds)
        raise ControlError("the running product closed the connection") from exc
    if not reply.get("ok"):
        _close(fds)
        raise ControlError(str(reply.get("error", "refused")))
    return reply, fds


def _close(fds: list[int]) -> None:
    for fd in fds:
        with suppress(OSError):
            os.close(fd)
