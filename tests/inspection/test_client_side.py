"""mitmproxy's side towards the client, made sober."""

from __future__ import annotations

from tests.inspection.world import world as started


async def test_a_head_without_end_is_cut(world):
    """Memory is not the client's to fill."""
    async with await world.connect() as wire:
        await wire.send(b"GET http://ok.example/ HTTP/1.1\r\n")
        for _ in range(40):
            await wire.send(b"X: " + b"y" * 8000 + b"\r\n")
        assert (await wire.reply()).status == 431


async def test_a_body_of_an_answered_request_is_read_and_forgotten(world):
    """A large upload to a listed page is answered, and the connection serves on."""
    size = 3_000_000
    async with await world.connect() as wire:
        host = f"pages.example:{world.origin.port}"
        head = f"POST http://{host}/listed HTTP/1.1\r\nHost: {host}\r\nContent-Length: {size}\r\n\r\n"
        await wire.send(head.encode() + b"x" * size)
        assert (await wire.reply()).status == 451
        await wire.send(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert (await wire.reply()).status == 200
    assert world.origin.lines == ["GET / HTTP/1.1"]


async def test_an_empty_line_before_a_request_is_overlooked(world):
    """RFC 9112, section 2.2."""
    host = f"ok.example:{world.origin.port}"
    assert (await world.raw(f"\r\nGET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())).status == 200


async def test_trailers_end_the_connection(world):
    """Mitmproxy cannot carry them in HTTP/1, and would leave the client waiting."""
    host = f"ok.example:{world.origin.port}"
    head = f"POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with await world.connect() as wire:
        await wire.send(head.encode() + b"2\r\nhi\r\n0\r\nX: trailer\r\n\r\n")
        assert await wire.ended()


async def test_bodies_are_kept_up_to_the_limit_and_streamed_beyond(tmp_path, free_port):
    """`body_limit` changes when bytes move, never which."""
    async with started(tmp_path, free_port, inspection={"body_limit": 1000}) as world:
        world.origin.body = b"z" * 100_000
        host = f"ok.example:{world.origin.port}"
        for size in (10, 5000):
            head = f"POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: {size}\r\n\r\n"
            assert (await world.raw(head.encode() + b"x" * size)).body == world.origin.body
        assert [len(body) for body in world.origin.bodies] == [10, 5000]
