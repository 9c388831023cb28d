"""Signs of life: who is silent is covered, then replaced; and the service manager gets one while somebody serves."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from typing import TYPE_CHECKING, Final

from .children import Child
from .logs import event

if TYPE_CHECKING:
    from .supervisor import Supervisor

_log = logging.getLogger(__name__)
LOOK: Final = 0.25
DOUBTED: Final = 2.5
"""Seconds without a sign of life after which others read a worker's sockets; it gives one each second."""
SILENT: Final = 5.0
"""Seconds after which an edge worker that had served is replaced."""
PATIENT: Final = 60.0
"""The same for everybody else: who reads a long list, or is just starting, may hold its loop for a while."""
_LONGER: Final = 60.0


class Watch:
    """Looks at every process several times a second."""

    def __init__(self, supervisor: Supervisor) -> None:
        """Nothing is looked at yet."""
        self._supervisor = supervisor
        self._told = self._asked = 0.0

    async def run(self) -> None:
        """Look until cancelled."""
        before = time.monotonic()
        while True:
            await asyncio.sleep(LOOK)
            now = time.monotonic()
            # Who was stopped himself, as in a container that is paused, has heard nothing and blames nobody.
            self.look(now, missed=max(0.0, now - before - 2 * LOOK))
            before = now

    def look(self, now: float, missed: float = 0.0) -> None:
        """Look once, at the monotonic time `now`; for the last `missed` seconds nobody could be heard."""
        supervisor = self._supervisor
        for child in supervisor.everyone:
            child.last_beat += missed
            if child.channel is not None:
                self._judge(child, now - child.last_beat)
        supervisor.settle()
        self._tell_manager(now)

    def _judge(self, child: Child, silent: float) -> None:
        served = child.role == "edge" and child.ready
        if silent > (SILENT if served else PATIENT):
            event(_log, logging.ERROR, "process_silent", name=child.name)
            child.signal(signal.SIGKILL)
            child.last_beat = time.monotonic()  # told once, not with every look
        elif served and silent > DOUBTED and not child.doubted:
            child.doubted = True
            event(_log, logging.WARNING, "process_doubted", name=child.name)

    def _tell_manager(self, now: float) -> None:
        supervisor, notifier = self._supervisor, self._supervisor.notifier
        stopping = supervisor.stopping.is_set()
        waiting = supervisor.reloads.running or not supervisor.all_ready.is_set() or stopping
        if waiting and now - self._asked > _LONGER / 2:
            self._asked = now
            notifier.longer(_LONGER)
        if notifier.every is None or now - self._told < notifier.every - LOOK:
            return
        if stopping or self._serves():  # the drain is bounded by itself
            self._told = now
            notifier.lives()

    def _serves(self) -> bool:
        """Tell whether an edge worker serves, where any ever did."""
        edges = [child for child in self._supervisor.everyone if child.role == "edge" and child.served.is_set()]
        return not edges or any(child.serves for child in edges)
