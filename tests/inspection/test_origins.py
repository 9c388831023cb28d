"""Connections to origins, looked at again."""

from __future__ import annotations

from filterproxy.inspection import origins
from tests.inspection.world import world as started


async def test_a_connection_to_an_inner_address_is_cut_before_a_byte_is_sent(tmp_path, free_port, monkeypatch):
    """Should a name ever be dialled past our check, the look at the peer remains."""
    monkeypatch.setattr(origins, "checked", lambda _, resolve: resolve)
    async with started(tmp_path, free_port, gateway={"allow_targets": [], "trust_local": False}) as world:
        assert (await world.get("http://ok.example:PORT/")).status == 502
        assert world.origin.heads == []


async def test_nothing_is_dialled_before_the_check_is_in_place(tmp_path, free_port):
    """A filter that was not started refuses."""

    def asleep(addon):
        addon.addons[0].running = lambda: None

    async with started(tmp_path, free_port, prepare=asleep) as world:
        assert (await world.get("http://ok.example:PORT/")).status == 502
        assert world.origin.connections == 0
