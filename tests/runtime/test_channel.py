"""Messages and descriptors between two ends of one channel, on asyncio and on uvloop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import StoreError
from filterproxy.runtime.channel import Body, Channel, ChannelError, pair
from filterproxy.runtime.memfd import mapped, sealed


def descriptors() -> int:
    """Return how many descriptors this process holds."""
    return len(list(Path("/proc/self/fd").iterdir()))


LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def run[T](loop: Callable[[], Any], story: Callable[[], Awaitable[T]]) -> T:
    async def told() -> T:
        return await story()

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(told())


async def echo(kind: str, body: Body, fds: list[int]) -> Body:
    """Answer with what came; descriptors by their content."""
    if kind == "fail":
        raise StoreError("the store is away")
    if kind == "break":
        raise ValueError("http://secret.example/")
    if kind == "slow":
        await asyncio.sleep(30)
    texts = []
    for fd in fds:
        with mapped(fd) as memory:
            texts.append(memory[:].decode())
        os.close(fd)
    return {"kind": kind, "body": body, "texts": texts}


class Ends:
    """Both ends of a channel, of which the second answers."""

    def __init__(self) -> None:
        ours, theirs = pair()
        self.raw = theirs.dup()
        self.gone = asyncio.Event()
        self.asker = Channel(ours, echo, closed=self.gone.set)
        self.answerer = Channel(theirs, echo)

    def close(self) -> None:
        self.asker.close()
        self.answerer.close()
        self.raw.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_request_is_answered_with_its_descriptors(loop):
    """Body and descriptors arrive whole, and many requests are answered each to its own."""

    async def story() -> None:
        ends = Ends()
        fds = [sealed("a", [b"first"]), sealed("b", [b"second"])]
        answer = await ends.asker.ask("hello", {"n": 1}, fds)
        assert answer == {"kind": "hello", "body": {"n": 1}, "texts": ["first", "second"]}
        for fd in fds:
            os.close(fd)
        many = await asyncio.gather(*(ends.asker.ask("n", {"n": n}) for n in range(500)))
        assert [item["body"]["n"] for item in many] == list(range(500))
        ends.close()

    run(loop, story)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_large_message_travels_in_sealed_memory(loop):
    """What is larger than a packet arrives whole as well, and leaves no descriptor behind."""

    async def story() -> None:
        ends = Ends()
        before = descriptors()
        answer = await ends.asker.ask("big", {"text": "x" * 3_000_000})
        assert len(answer["body"]["text"]) == 3_000_000
        await asyncio.sleep(0)
        assert descriptors() == before
        ends.close()

    run(loop, story)


@pytest.mark.parametrize(("kind", "said"), [("fail", "the store is away"), ("break", "internal error (ValueError)")])
def test_a_refusal_is_told_and_an_accident_without_its_text(kind, said):
    """Who asks reads our own errors; the text of others may hold an address and stays where it was raised."""

    async def story() -> None:
        ends = Ends()
        with pytest.raises(ChannelError) as found:
            await ends.asker.ask(kind, {})
        assert str(found.value) == said
        ends.close()

    run(LOOPS[0], story)


def test_a_late_answer_is_an_error_and_so_is_a_peer_that_went():
    """Nobody waits for ever."""

    async def story() -> None:
        ends = Ends()
        with pytest.raises(ChannelError, match="no answer"):
            await ends.asker.ask("slow", {}, timeout=0.05)
        waiting = asyncio.ensure_future(ends.asker.ask("slow", {}))
        await asyncio.sleep(0.05)
        ends.raw.close()
        ends.answerer.close()
        with pytest.raises(ChannelError, match="gone"):
            await waiting
        assert ends.gone.is_set()
        with pytest.raises(ChannelError, match="gone"):
            ends.asker.tell("hello", {})
        ends.close()

    run(LOOPS[0], story)


def test_what_cannot_be_queued_closes_the_channel():
    """A peer that reads nothing is not fed without end."""

    async def story() -> None:
        ours, theirs = pair()
        channel = Channel(ours, echo)
        refused = 0
        for _ in range(5000):
            try:
                channel.tell("hello", {"text": "x" * 1000})
            except ChannelError:
                refused += 1
        assert refused > 0
        assert not channel.open
        theirs.close()

    run(LOOPS[0], story)


@given(
    st.one_of(
        st.binary(min_size=1, max_size=300), st.sampled_from([b"{}", b"[]", b"1", b'{"blob":true}', b'{"re":"x"}'])
    )
)
def test_any_malformed_packet_closes_the_channel_and_nothing_else(data):
    """Whatever arrives, the loop lives and no exception leaves the channel."""

    async def story() -> None:
        ends = Ends()
        ends.raw.setblocking(True)
        socket.send_fds(ends.raw, [data], [])
        with_number = b'"kind"' in data
        for _ in range(200):
            if not ends.asker.open or with_number:
                break
            await asyncio.sleep(0.001)
        assert not ends.asker.open or with_number
        ends.close()

    run(LOOPS[0], story)
