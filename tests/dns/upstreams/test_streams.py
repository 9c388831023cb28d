"""Questions on TCP and TLS connections: which reply belongs to which, and what is no reply."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dns.upstreams.peers import FINE, UNREACHED, USELESS, asking, lie_id, lie_query, lie_question, lie_type, named
from tests.dns.upstreams.servers import NAME, Server


async def test_answers_come_in_any_order():
    """A slow name holds up nobody behind it (RFC 7766, section 7)."""
    async with Server() as server, asking(f"tcp://{server.address}", timeout=1) as here:
        slow = here.begin(named("slow.example"))
        quick = [await here.ask() for _ in range(5)]
        assert not slow.done()
        assert [item.answers for item in quick] == [1] * 5
        assert (await slow).rcode == 3
    assert server.connections == 1
    assert len({item.header.id for item in server.seen}) == 6


@pytest.mark.parametrize("lie", [lie_id, lie_question, lie_type, lie_query])
async def test_a_reply_to_nothing_ends_the_connection(lie):
    """What else it says cannot be told apart either: whoever waits there has no answer, and does not wait for one."""
    async with (
        Server(says=lambda asked, honest: [lie(asked, honest)]) as server,
        asking(f"tcp://{server.address}", timeout=2) as here,
    ):
        before = asyncio.get_running_loop().time()
        assert await here.failure() == USELESS
        assert asyncio.get_running_loop().time() - before < 1
        assert not here.upstreams._peers[0].health.resting


async def test_an_answer_that_is_cut_here_too_is_none():
    """TC over TCP leads nowhere else."""
    async with (
        Server(says=lambda asked, honest: [honest[:2] + bytes([honest[2] | 2]) + honest[3:]]) as server,
        asking(f"tcp://{server.address}") as here,
    ):
        assert await here.failure() == USELESS


async def test_an_answer_that_comes_too_late_disturbs_nobody():
    """It is taken from the connection and thrown away; what was asked since gets its own."""
    zone = {("fine.example", "A"): "fine.example 300 IN A 192.0.2.80"}
    async with Server(zone, delay=0.4) as server, asking(f"tcp://{server.address}", timeout=0.3) as here:
        await here.ask()
        late = here.begin(named("slow.example"))
        for _ in range(10):
            await asyncio.sleep(0.06)
            assert (await here.ask()).answers == 1
        assert (await late).ede == 23
        assert not here.upstreams._peers[0].health.resting
    assert server.connections == 1


async def test_one_from_before_edns_is_asked_again_without_it():
    """FORMERR is what it says to OPT (RFC 6891, section 7), on a connection as over UDP."""
    async with (
        Server(says=lambda asked, honest: [honest[:3] + b"\x81" + bytes(8)] if asked.ar else None) as server,
        asking(f"tcp://{server.address}") as here,
    ):
        assert (await here.ask()).answers == 1
    assert [len(item.ar) for item in server.seen] == [1, 0]


async def test_the_length_of_an_encrypted_question_tells_little_of_the_name(authority):
    """All are a multiple of 128 bytes (RFC 8467), and the padding is an option of EDNS."""
    async with Server(tls=authority.context(NAME)) as server:
        async with asking(f"tls://{server.address}#{NAME}", ca=authority.ca, timeout=2) as here:
            for name in ("a", "fine.example", ".".join(["x" * 50] * 3)):
                await here.ask(named(name))
        assert server.sizes == [128, 128, 256]
        assert all(item.ar[0].rdata[0].code == 12 for item in server.seen)


async def test_thousands_of_records_take_little_of_our_time():
    """An answer as long as TCP allows is refused, and the next on the connection is read."""
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
    many = 65_000 // len(record)

    def says(asked, honest):
        if b"many" not in asked.pack().lower():
            return None
        packed = asked.pack()
        end = packed.index(b"\0", 12) + 5
        return [packed[:2] + b"\x81\x80\0\1" + many.to_bytes(2) + bytes(4) + packed[12:end] + record * many]

    async with Server(says=says) as server, asking(f"tcp://{server.address}", timeout=2) as here:
        before = asyncio.get_running_loop().time()
        answer = await here.ask(named("many.example"))
        assert (answer.rcode, answer.ede) == USELESS
        assert asyncio.get_running_loop().time() - before < 0.5
        assert (await here.ask()).answers == 1
    assert server.connections == 1


@settings(max_examples=25)
@given(st.lists(st.binary(max_size=80), min_size=1, max_size=4))
def test_any_bytes_end_in_an_answer_that_is_none(chunks):
    """Whatever a server says instead of messages, each question ends once and no error gets out."""

    async def story() -> None:
        async def hold(reader, writer):
            try:
                await reader.read(2)
                for chunk in chunks:
                    writer.write(chunk)
                await reader.read()
            finally:
                writer.transport.abort()

        server = await asyncio.start_server(hold, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with asking(f"tcp://127.0.0.1:{port}", timeout=0.05) as here:
            answers = await asyncio.gather(here.ask(FINE), here.ask(named("other.example")))
            assert {(item.rcode, item.ede) for item in answers} <= {UNREACHED, USELESS}
        server.close()
        await asyncio.sleep(0.01)

    asyncio.run(story())
