"""Every hook fails closed, in a running mitmproxy, and says nothing of what went by."""

from __future__ import annotations

import asyncio
import io
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import pytest
from mitmproxy import hooks

from filterproxy.inspection import HttpFilter, guard
from filterproxy.inspection.origins import Origins
from tests.inspection.world import Counts, World
from tests.inspection.world import world as started

SECRET = "http://pages.example/listed?token=1"
PARTS = {name: part for part in (HttpFilter, Origins) for name in hooks.all_hooks if hasattr(part, name)}
QUIET_HOOKS = {"done", "server_connect_error", "tls_failed_server", "error", "websocket_message"}
"""Not reached by the requests below; each has a case of its own or nothing to give away."""


def broken(addon: HttpFilter, name: str) -> None:
    """Make one hook of a filter raise an exception that tells what was asked for."""
    part: Any = addon if PARTS[name] is HttpFilter else addon.addons[0]

    def fail(self: object, *_: object) -> None:
        raise RuntimeError(SECRET)

    async def fail_later(self: object, *_: object) -> None:
        await asyncio.sleep(0)
        raise RuntimeError(SECRET)

    hook = getattr(part, name)
    body = fail_later if asyncio.iscoroutinefunction(hook) else fail
    body.__name__ = name
    setattr(part, name, MethodType(guard.fails_closed(hook.otherwise)(body), part))


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """Write all that any logger says, at any level, into one text."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(exc_info)s %(fields)s", defaults={"fields": ""}))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


async def try_everything(world: World) -> list[int]:
    """Ask for the listed page in every way, and for an allowed one; return what the allowed ones got."""
    host = f"pages.example:{world.origin.port}"
    body = "Content-Length: 9\r\n\r\nsecretive"
    await world.raw(f"POST http://{host}/listed?token=1 HTTP/1.1\r\nHost: {host}\r\n{body}".encode())
    await world.get("http://pages.example:PORT/listed?token=1")
    statuses = [(await world.get("http://ok.example:PORT/?token=1")).status]
    wire, reply = await world.tunnel("pages.example", world.origin.port)
    async with wire:
        if reply.status == 200:
            await wire.send(b"GET /listed?token=1 HTTP/1.1\r\nHost: pages.example\r\n\r\n")
            await wire.reply()
    for alpn in ("http/1.1", "h2"):
        try:
            async with await world.tls("pages.example", alpn=alpn) as inside:
                if alpn == "h2":
                    await inside.http2(f"pages.example:{world.origin.tls_port}", "/listed?token=1")
                else:
                    await inside.send(b"GET /listed?token=1 HTTP/1.1\r\nHost: pages.example\r\n\r\n")
                    await inside.reply()
        except (ssl.SSLError, ConnectionError):
            statuses.append(0)
    return statuses


@pytest.mark.parametrize("name", sorted(PARTS))
async def test_an_exception_in_any_hook_lets_nothing_listed_through_and_tells_nothing(tmp_path, free_port, capfd, name):
    """Whichever hook breaks, the listed page stays where it is, and its address out of the log."""
    with everything_logged() as text:
        async with started(tmp_path, free_port, prepare=lambda addon: broken(addon, name)) as world:
            statuses = await try_everything(world)
            assert [line for line in world.origin.lines if "listed" in line] == []
            assert b"secretive" not in b"".join(world.origin.bodies)
            if name not in QUIET_HOOKS:
                assert world.counts.events["http_hook_error"] > 0
            if name in ("requestheaders", "responseheaders", "server_connect", "server_connected"):
                assert statuses[0] == 502
    said = text.getvalue() + "".join(capfd.readouterr())
    assert [
        word for word in ("pages.example", "ok.example", "listed", "token", "secretive", "127.0.0.1") if word in said
    ] == []
    assert "RuntimeError" in said or name in QUIET_HOOKS


@pytest.mark.parametrize("what", ["policy", "notices", "count", "now"])
async def test_whatever_breaks_behind_a_hook_nothing_listed_passes(tmp_path, free_port, capfd, what):
    """The decision's sources, the pages and even the counters may fail."""

    def fail(*_: object, **__: object) -> Any:
        raise RuntimeError(SECRET)

    def break_part(addon: HttpFilter) -> None:
        parts: Any = addon
        if what == "policy":
            parts._door._policy = fail
        elif what == "now":
            parts._door._now = fail
        elif what == "notices":
            parts._answers._notices.block = fail
        else:
            parts._count.event = fail

    with everything_logged() as text:
        async with started(tmp_path, free_port, prepare=break_part) as world:
            await try_everything(world)
            assert [line for line in world.origin.lines if "listed" in line] == []
    said = text.getvalue() + "".join(capfd.readouterr())
    assert [word for word in ("pages.example", "listed", "token", "secretive") if word in said] == []


async def test_a_broken_websocket_hook_drops_the_message(tmp_path, free_port):
    """A message that could not be looked at does not go on."""
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA=="
    async with started(tmp_path, free_port, prepare=lambda addon: broken(addon, "websocket_message")) as world:
        async with await world.connect() as wire:
            host = f"ok.example:{world.origin.port}"
            await wire.send(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n\r\n".encode())
            assert (await wire.reply()).status == 101
            await wire.send(b"\x81\x82\0\0\0\0hi")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wire.reader.read(1), 0.3)
        assert world.counts.events["http_hook_error"] == 1


@pytest.mark.parametrize("part", [HttpFilter, Origins])
def test_every_hook_is_under_guard(part):
    """A hook added later cannot be forgotten."""
    assert [
        name for name in hooks.all_hooks if hasattr(part, name) and not hasattr(getattr(part, name), "otherwise")
    ] == []


def test_a_failure_is_told_by_its_name_only(caplog):
    """The text of an exception may be an address."""
    guarded = guard.Guarded(Counts())
    guarded.failed("requestheaders", ValueError(SECRET))
    assert caplog.records[0].fields == {"hook": "requestheaders", "error": "ValueError"}
    assert SECRET not in caplog.text
