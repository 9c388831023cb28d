"""The gateway of one worker, and how it ends."""

from __future__ import annotations

import asyncio

from tests.gateway.pairs import run
from tests.gateway.street import PAGE, street, until


def test_what_was_begun_is_finished_before_it_ends():
    """A running request has its answer, an idle connection is closed at once, and nobody new is taken."""

    async def story() -> None:
        async with street() as found:
            gate = asyncio.Event()

            async def handle(reader, writer, head) -> None:
                await gate.wait()
                writer.write(PAGE)

            idle, busy = await found.call(), await found.call()
            await idle.get(found.url("ok.example"))
            found.shop.handle = handle
            busy.send(f"GET {found.url('ok.example')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await until(lambda: len(found.shop.heads) == 2)
            closing = asyncio.create_task(found.serving.close(5))
            assert await idle.rest() == b""
            gate.set()
            reply = await busy.reply()
            assert (reply.body, await busy.rest()) == (b"page", b"")
            await closing

    run("uvloop", story)


def test_what_takes_longer_than_it_may_is_cut():
    """A tunnel has no end of its own, and an origin may never answer."""

    async def story() -> None:
        async with street() as found:

            async def handle(reader, writer, head) -> bool:
                await reader.read()
                return True

            found.shop.handle = handle
            busy = await found.call()
            busy.send(f"GET {found.url('ok.example')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            tunnel = await found.connect("ok.example")
            tunnel.send(b"\x00binary")
            await until(lambda: len(found.house.tunnels) == 1)
            await found.serving.close(0.2)
            await tunnel.ended()
            await busy.ended()

    run("uvloop", story)
