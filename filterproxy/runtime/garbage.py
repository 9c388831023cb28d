"""Garbage without pauses: what lives long is not looked at again and again for circles.

Python looks through all objects for circles that nobody holds, now and then, while every answer waits. Caches are no
circles. So the young are looked through as ever, and what has lived for a while is set aside.
"""

from __future__ import annotations

import asyncio
import gc

_YOUNG, _TIMES = 10_000, 4
"""New objects until the youngest are looked through, and how often that is until their elders are too: every object
costs some 200 ns then, so that neither takes more than a few milliseconds."""
_NEVER = 1_000_000_000
_SECONDS = 60.0


def set_aside() -> None:
    """Set aside all that lives now, and again every minute, on the running loop; it is still freed when let go."""
    gc.set_threshold(_YOUNG, _TIMES, _NEVER)
    gc.freeze()
    asyncio.get_running_loop().call_later(_SECONDS, set_aside)
