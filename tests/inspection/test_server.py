"""The inspector role: its port, its CA, its end."""

from __future__ import annotations

import asyncio
import socket
import stat

import pytest

from filterproxy.errors import FilterproxyError
from tests.inspection.world import World
from tests.inspection.world import world as started


async def begun(world: World) -> None:
    """Wait until a request was passed on."""
    while world.addon.running_flows == 0:  # noqa: ASYNC110 - it is a number, not an event
        await asyncio.sleep(0.01)


async def test_a_taken_port_is_told_in_one_line(tmp_path, free_port):
    """The key, the address, the reason."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        with pytest.raises(
            FilterproxyError, match=rf"^gateway.listen: 127.0.0.1:{free_port} is in use by another program$"
        ):
            async with started(tmp_path, free_port):
                pass


async def test_a_ca_that_cannot_be_kept_is_told_in_one_line(tmp_path, free_port):
    """The state folder may be no folder."""
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(FilterproxyError, match="certificate authority cannot be used"):
        async with started(tmp_path, free_port):
            pass


async def test_the_ca_is_readable_by_us_alone(world):
    """Who has its key can read all that is opened."""
    folder = world.ca.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "mitmproxy-ca.pem").stat().st_mode) == 0o600


async def test_a_running_request_is_answered_in_full_while_stopping(tmp_path, free_port):
    """No new connection is taken, and what has begun ends well."""
    async with started(tmp_path, free_port, drain=10) as world:
        world.origin.hold.clear()
        asking = asyncio.create_task(world.get("http://ok.example:PORT/"))
        await begun(world)
        world.stop.set()
        await asyncio.sleep(0.05)
        with pytest.raises(OSError):  # noqa: PT011 - refused, however the system says it
            await world.connect()
        world.origin.hold.set()
        assert (await asking).body == b"the page"
        await asyncio.wait_for(world.task, 5)


async def test_what_does_not_end_is_cut(tmp_path, free_port):
    """An origin that never answers does not hold the end up."""
    async with started(tmp_path, free_port, drain=0.2) as world:
        world.origin.hold.clear()
        asking = asyncio.create_task(world.get("http://ok.example:PORT/"))
        tunnel, _ = await world.tunnel("ok.example")
        await begun(world)
        world.stop.set()
        await asyncio.wait_for(world.task, 3)
        assert (await asking).status in (0, 502)
        assert await tunnel.ended()
        await tunnel.close()
        world.origin.hold.set()


async def test_the_port_is_free_at_once_for_the_next(tmp_path, free_port):
    """With connections of the one before still closing."""
    for _ in range(2):
        async with started(tmp_path, free_port) as world:
            assert (await world.get("http://ok.example:PORT/")).status == 200
