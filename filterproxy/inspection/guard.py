"""Every hook fails closed.

mitmproxy logs an exception in a hook with its text, which may hold an address, and lets the flow go on. A hook under
`fails_closed` never raises: what it was asked about is refused, the failure is counted, and only its class is logged.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, Protocol, cast

from mitmproxy import ctx, http, tls
from mitmproxy.proxy import commands, events, layer, server_hooks

from filterproxy.core.model import Verdict

log = logging.getLogger("filterproxy.inspection")

TARGET_REFUSED = "filterproxy: this target may not be reached"
"""The error of a server connection that may not be made. Fixed: mitmproxy passes it around; the person is told 403."""
HOOK_FAILED = "filterproxy: a hook failed"
"""The error of a server connection that could not be judged; the person is told 502."""
_FAILED = b"The filter could not judge this request, so it was not passed on. Please try again later.\n"


class Count(Protocol):
    """Where verdicts and events are counted."""

    def verdict(self, frontend: str, verdict: Verdict) -> None:
        """Count a verdict."""

    def event(self, name: str) -> None:
        """Count an event, one of a fixed set."""


class Guarded:
    """An addon whose hooks are under guard."""

    def __init__(self, count: Count) -> None:
        self._count = count

    def failed(self, hook: str, exc: Exception) -> None:
        """Count and log that a hook failed: its name and the class of the exception, for the text may hold a URL."""
        try:
            log.error("hook_failed", extra={"fields": {"hook": hook, "error": type(exc).__name__}})
            self._count.event("http_hook_error")
        except Exception:  # noqa: BLE001, S110 - there is nobody left to tell
            pass

    def refuse_tls(self, client_id: str) -> None:
        """See to it that TLS on this client's tunnel is neither opened nor passed on."""


type Refusal = Callable[[Guarded, Any], None]
"""Refuses what a hook was asked about; so plain that it cannot fail."""


def fails_closed[F: Callable[..., Any]](otherwise: Refusal) -> Callable[[F], F]:
    """Return a decorator for a hook, sync or async: where it raises, `otherwise` is done instead."""

    def decorate(hook: F) -> F:
        if inspect.iscoroutinefunction(hook):

            @functools.wraps(hook)
            async def guarded_async(self: Guarded, *data: Any) -> None:
                try:
                    await hook(self, *data)
                except Exception as exc:  # noqa: BLE001 - whatever it is, the flow must not pass
                    _refuse(self, hook.__name__, exc, otherwise, data)

            guarded: Any = guarded_async
        else:

            @functools.wraps(hook)
            def guarded_sync(self: Guarded, *data: Any) -> None:
                try:
                    hook(self, *data)
                except Exception as exc:  # noqa: BLE001 - whatever it is, the flow must not pass
                    _refuse(self, hook.__name__, exc, otherwise, data)

            guarded = guarded_sync
        guarded.otherwise = otherwise
        return cast(F, guarded)

    return decorate


def _refuse(addon: Guarded, hook: str, exc: Exception, otherwise: Refusal, data: tuple[Any, ...]) -> None:
    otherwise(addon, *data, *(() if data else (None,)))
    addon.failed(hook, exc)


def answer_502(_: Guarded, flow: http.HTTPFlow) -> None:
    """Answer a request that has not been forwarded."""
    # Both at once crash mitmproxy, and its report holds the request.
    flow.request.stream = False
    flow.response = http.Response.make(502, _FAILED, {"Cache-Control": "no-store", "Content-Type": "text/plain"})


def kill_flow(_: Guarded, flow: http.HTTPFlow) -> None:
    """End a flow whose response has begun: replacing its head would not keep its body back."""
    if flow.killable:
        flow.kill()


def refuse_hello(addon: Guarded, data: tls.ClientHelloData) -> None:
    """Neither open this TLS nor pass it on."""
    data.ignore_connection = False
    addon.refuse_tls(data.context.client.id)


def refuse_handshake(_: Guarded, data: tls.TlsData) -> None:
    """Close the connection: without a context mitmproxy sends nothing."""
    data.ssl_conn = None


def refuse_server(_: Guarded, data: server_hooks.ServerConnectionHookData) -> None:
    """Do not dial."""
    data.server.error = HOOK_FAILED


def abort_server(_: Guarded, data: server_hooks.ServerConnectionHookData) -> None:
    """Cut a connection to an origin before a byte is sent: mitmproxy has no way to refuse one that stands."""
    proxyserver = ctx.master.addons.get("proxyserver")
    transport = proxyserver.connections[data.client.id].transports[data.server]
    transport.writer.transport.abort()


def refuse_layer(_: Guarded, nextlayer: layer.NextLayer) -> None:
    """Close a connection whose next protocol could not be chosen."""
    nextlayer.layer = Closed(nextlayer.context)


def drop_message(_: Guarded, flow: http.HTTPFlow) -> None:
    """Keep a WebSocket message from the other side."""
    if flow.websocket is not None and flow.websocket.messages:
        flow.websocket.messages[-1].drop()


def nothing(_: Guarded, __: object) -> None:
    """Where nothing can pass any more, nothing is to be refused."""


class Closed(layer.Layer):
    """Speaks no protocol: closes the client's connection at once."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)
