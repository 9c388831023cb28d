"""The pipes through which tunnels move bytes, and the order in which they may.

Whoever has bytes to move asks for a turn; turns come in the order of asking, for a part of each turn of the loop, so
that what else lives there is served between. A pipe is lent for one turn, and longer only to whom the reader of its
bytes makes wait. Of such the one who waits longest gives up its pipe when none is left: nobody waits for a pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import asyncio

MOST: Final = 64
"""Pipes of one worker."""
SIZE: Final = 262_144
"""Bytes that a pipe takes, where the user may have so many in all (pipe(7), `pipe-user-pages-soft`)."""
SECONDS: Final = 0.0003
"""How long bytes are moved before others of the loop are served; the last turn of a kind may take as long again."""
LONGEST: Final = 0.003
"""How long at most, where the others take that long: thousands who wait for a turn cost time by waiting."""


class Pipe:
    """A pipe that does not block, and is empty while nobody holds it."""

    __slots__ = ("end", "mouth", "size")

    def __init__(self, size: int) -> None:
        """Open one of `size` bytes, or of as many as the user may have. Raises OSError where no descriptor is left."""
        self.end, self.mouth = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(PermissionError):
            fcntl.fcntl(self.mouth, fcntl.F_SETPIPE_SZ, size)
        self.size: int = fcntl.fcntl(self.mouth, fcntl.F_GETPIPE_SZ)

    def drain(self, length: int) -> bytes:
        """Return the `length` bytes that are in it."""
        data = b""
        while len(data) < length:  # once, as far as is known
            data += os.read(self.end, length - len(data))
        return data

    def close(self) -> None:
        """Close both ends, and lose what is between."""
        os.close(self.end)
        os.close(self.mouth)


class Mover(Protocol):
    """Has bytes to move. It is hashed by what it is."""

    def turn(self) -> None:
        """Move some, and ask again if there are more. Raises nothing."""

    def yield_pipe(self) -> None:
        """Keep in memory what is in the pipe, and give the pipe back."""


class Pipes:
    """The pipes of one worker, and the queue of those who move bytes."""

    __slots__ = ("_asking", "_free", "_keepers", "_loop", "_made", "_most", "_scheduled", "_served", "_size")

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int = MOST, size: int = SIZE) -> None:
        """Open the first of at most so many pipes of `size` bytes. Raises OSError where that cannot be."""
        self._loop, self._most, self._size = loop, most, size
        self._free = [Pipe(size)]
        self._made = 1
        self._keepers: dict[Mover, None] = {}  # whom readers make wait, whoever waits longest first
        self._asking: deque[Mover] = deque()
        self._scheduled = False
        self._served = time.monotonic()

    @property
    def kept(self) -> int:
        """How many pipes are lent."""
        return self._made - len(self._free)

    # Turns

    def ask(self, mover: Mover) -> None:
        """Let `mover` have a turn after all others who asked; once, however often the loop calls it until then."""
        self._asking.append(mover)
        if not self._scheduled:
            self._scheduled, self._served = True, time.monotonic()
            self._loop.call_soon(self._serve)

    def _serve(self) -> None:
        asking, now = self._asking, time.monotonic()
        until = now + min(max(SECONDS, now - self._served), LONGEST)
        try:
            while asking:
                asking.popleft().turn()
                if time.monotonic() >= until:
                    break
        finally:
            self._scheduled, self._served = bool(asking), time.monotonic()
            if asking:
                self._loop.call_soon(self._serve)

    # Pipes

    def lend(self) -> Pipe:
        """Return an empty pipe."""
        if not self._free:
            self._more()
        return self._free.pop()

    def _more(self) -> None:
        if self._made < self._most:
            with contextlib.suppress(OSError):  # no descriptor is left: then it is as if there were no more pipes
                self._free.append(Pipe(self._size))
                self._made += 1
                return
        keeper = next(iter(self._keepers))  # there is one: a pipe is lent for a turn, or kept, and this is a new turn
        keeper.yield_pipe()

    def keep(self, mover: Mover) -> None:
        """Note that `mover` keeps the pipe that it was lent, for there are bytes in it, until it gives it back."""
        self._keepers.setdefault(mover)

    def give(self, mover: Mover, pipe: Pipe) -> None:
        """Take back the pipe that `mover` was lent, empty."""
        self._keepers.pop(mover, None)
        self._free.append(pipe)

    def close(self) -> None:
        """Close all pipes. Each tunnel is closed by then."""
        for pipe in self._free:
            pipe.close()
        self._made -= len(self._free)
        self._free.clear()
