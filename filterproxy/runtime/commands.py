"""What the control socket answers by itself, and what it relays to the control process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from filterproxy.errors import ControlError

from . import status
from .control_socket import Reply
from .memfd import sealed

if TYPE_CHECKING:
    from .supervisor import Supervisor

_LONGEST = 600.0


async def answer(supervisor: Supervisor, request: dict[str, Any], by: str) -> Reply:
    """Return the answer to `request` of `by`. Raises FilterproxyError where there is none."""
    match request["do"]:
        case "status":
            return Reply(status.full(supervisor))
        case "bundle":
            return _bundle(supervisor)
        case "rotate-key":
            return Reply({"said": await supervisor.rotations.rotate(str(request.get("key", "")), by)})
        case _:
            # Several people may act under one Unix user. Who they say they are is kept beside what the kernel knows.
            said = request.get("by")
            name = f"{said} ({by})" if isinstance(said, str) and said.strip() else by
            body = {"request": request, "by": name, "user": by}
            return Reply(await supervisor.ask_control("command", body, _LONGEST))


def _bundle(supervisor: Supervisor) -> Reply:
    """Return what is in force, for `check` to judge by exactly that: first the digest key, then each segment."""
    manifest = supervisor.segments.manifest
    if manifest is None:
        raise ControlError("no list has been loaded yet; try again in a moment")
    names = [part.file for part in manifest.parts]
    key = sealed("key", [supervisor.handing.digest_key(manifest)])
    # Duplicates: a publication may close the originals before they are sent.
    fds = [key, *(os.dup(supervisor.segments.fd(name)) for name in names)]
    return Reply({"manifest": manifest.as_dict(), "segments": names}, fds)
