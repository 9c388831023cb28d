"""Names are resolved for dialling once, and what they lead to is checked then: what was checked is what is dialled, and
a name cannot change its mind in between.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

from filterproxy.core import names
from filterproxy.core.targets import Targets

from .guard import TARGET_REFUSED

type Resolve = Callable[..., Awaitable[list[Any]]]
"""A loop's getaddrinfo."""

_KEEP_SECONDS: Final = 10.0
_KEEP_NAMES: Final = 4096
_ANY_LOCAL: Final = "127.0.0.1"


class TargetRefusedError(OSError):
    """A name resolves to nothing but addresses that may not be reached. The person is told 403."""

    def __init__(self) -> None:
        super().__init__(TARGET_REFUSED)


def checked(targets: Targets, resolve: Resolve) -> Resolve:
    """Return `resolve` less what may not be reached.

    It raises TargetRefusedError where nothing is left. Answers are kept a few seconds, so that a CONNECT and the
    connection made for it see the same.
    """
    before: dict[tuple[Any, ...], tuple[float, list[Any]]] = {}

    async def getaddrinfo(host: Any, port: Any, **how: Any) -> list[Any]:
        if how.get("flags", 0) & socket.AI_PASSIVE:
            return await resolve(host, port, **how)  # to listen, not to dial
        key = (host, port, how.get("family", 0), how.get("type", 0))
        ends, found = before.get(key, (0.0, []))
        now = asyncio.get_running_loop().time()
        if now >= ends:
            found = await resolve(host, port, **how)
            if len(before) >= _KEEP_NAMES:
                before.clear()
            before[key] = (now + _KEEP_SECONDS, found)
        name = names.host(host) if isinstance(host, str) else None
        if name is None:
            raise TargetRefusedError
        if targets.is_own(name, port):
            return found
        # Who asks is not known here: what only a local client may reach is looked at again once connected.
        kept = [info for info in found if targets.allows(info[4][0], port, _ANY_LOCAL)]
        if not kept:
            raise TargetRefusedError
        return kept

    return getaddrinfo
