"""The inspector: mitmproxy in this process, with nothing but the parts that it needs to serve.

On plain asyncio: mitmproxy does not run on uvloop. Its own master program would add thirty addons, of which some
print every address and some open doors; here are three, and ours.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mitmproxy import master
from mitmproxy import options as mitmproxy_options
from mitmproxy.addons import next_layer, proxyserver, tlsconfig
from mitmproxy.utils.asyncio_utils import set_eager_task_factory

from filterproxy.errors import FilterproxyError
from filterproxy.settings import Settings
from filterproxy.settings.base import split_address

from .filter import HttpFilter
from .options import certificate_authority, options
from .quiet import quieten

_LOOK_AGAIN_SECONDS = 0.02
_RESOLVING_THREADS = 64
"""Names that may be looked up at once; asyncio's own few would let one slow resolver hold up everybody."""
_CUT_SECONDS = 2.0
_LOOPBACK = "127.0.0.1"


async def run_inspector(
    settings: Settings, addon: HttpFilter, ready: Callable[[int], None], stop: asyncio.Event, *, behind: bool = False
) -> None:
    """Serve until `stop` is set; call `ready` with the port once that is bound.

    It is that of `gateway.listen`, or, `behind` the gateway, any of loopback.

    Then take no more connections, give running requests `runtime.drain` to end, and cut what is left: a tunnel that
    is passed through has no end of its own. Raises FilterproxyError where the port or the CA cannot be had.
    """
    quieten()
    certificate_authority(settings)
    listen = (_LOOPBACK, 0) if behind else split_address(settings.gateway.listen)
    running = _master(settings, addon, listen)
    server: Any = running.addons.get("proxyserver")
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_RESOLVING_THREADS, "resolve"))
    with set_eager_task_factory():
        try:
            await _bind(server, settings.gateway.listen)
            await running.running()
            ready(_port(server))
            await stop.wait()
        finally:
            await _stop(server, addon, settings.runtime.drain.total_seconds())
            await running.done()


def _master(settings: Settings, addon: HttpFilter, listen: tuple[str, int]) -> master.Master:
    host, port = listen
    made = master.Master(mitmproxy_options.Options(listen_host=host, listen_port=port))
    made.addons.add(proxyserver.Proxyserver(), next_layer.NextLayer(), tlsconfig.TlsConfig(), addon)
    made.options.update(**options(settings))
    return made


async def _bind(server: Any, listen: str) -> None:
    if await server.setup_servers():
        return
    for instance in server.servers:
        error = instance.last_exception
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise FilterproxyError(f"gateway.listen: {listen} is in use by another program")
        if isinstance(error, OSError) and error.errno is not None:
            raise FilterproxyError(f"gateway.listen: {listen}: {errno.errorcode.get(error.errno, 'cannot be bound')}")
    raise FilterproxyError(f"gateway.listen: {listen} cannot be bound")


def _port(server: Any) -> int:
    """Return the port that was bound."""
    return int(next(address[1] for instance in server.servers for address in instance.listen_addrs))


async def _stop(server: Any, addon: HttpFilter, seconds: float) -> None:
    await server.servers.update([])
    await _until(lambda: addon.running_flows == 0, seconds)
    for handler in list(server.connections.values()):
        for transport in list(handler.transports.values()):
            if transport.handler is not None:
                transport.handler.cancel()
    await _until(lambda: not server.connections, _CUT_SECONDS)


async def _until(true: Callable[[], bool], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while not true() and loop.time() < ends:  # noqa: ASYNC110 - mitmproxy tells nobody when a connection ends
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
