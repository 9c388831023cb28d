"""What the portal is made of: handed in by the runtime, so that nothing here opens, reads or remembers by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from filterproxy.core.policy import Policy
from filterproxy.notice.render import Notices
from filterproxy.notice.token import Opener
from filterproxy.settings import Settings
from filterproxy.store import Store

from .record import Record


class Count(Protocol):
    """Counts events by fixed names."""

    def event(self, name: str, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The portal's surroundings. `store` may raise StoreError at any call; `now` is UTC with its zone."""

    settings: Settings
    store: Store
    opener: Opener
    notices: Notices
    policy: Callable[[], Policy]
    record: Callable[[], Record]
    count: Count
    now: Callable[[], datetime]
    mac_key: bytes = field(repr=False)
    """Keys the digests under which the rate limit knows a client's network, so that no address is kept."""
