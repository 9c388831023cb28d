"""The addon: what mitmproxy asks, and what we answer. Rules are the decision's; here bytes become subjects.

Every hook is under `fails_closed`. Nothing is dialled before it was judged (`connection_strategy=lazy`), and nothing
but HTTP, WebSocket and judged TLS is passed on.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import socket
import weakref
from collections.abc import Callable
from datetime import datetime

from mitmproxy import connection, http, tls
from mitmproxy.proxy import layer, layers

from filterproxy.core import names, vouched
from filterproxy.core.authority import bare, host_of, place
from filterproxy.core.model import Action
from filterproxy.core.policy import Policy
from filterproxy.core.rulings import Client, Door, Ruling
from filterproxy.core.targets import Targets
from filterproxy.notice.render import Notices
from filterproxy.notice.seen import Seen
from filterproxy.settings import Settings
from filterproxy.settings.base import split_address

from . import forward, guard, passthrough
from .answers import Answers
from .client_side import sober
from .guard import Count, Guarded, fails_closed
from .judge import address_of
from .origins import Origins
from .passthrough import Tunnel
from .subjects import Asked, asked
from .targets import TargetRefusedError


class HttpFilter(Guarded):
    """Judges what passes through mitmproxy. One per process; it keeps the open tunnels and nothing of what went by."""

    def __init__(
        self,
        settings: Settings,
        policy: Callable[[], Policy],
        notices: Notices,
        count: Count,
        now: Callable[[], datetime],
        mac_key: bytes,
        *,
        behind: bool = False,
    ) -> None:
        """Take what is needed to judge and to answer.

        `mac_key` (32 bytes) makes the cookies of warnings. An inspector that is `behind` the gateway serves only
        clients for whom that vouches under this key.
        """
        super().__init__(count)
        gateway = settings.gateway
        self._tls = settings.inspection.tls
        self._stream = settings.inspection.body_limit == 0
        self._ports = frozenset(gateway.connect_ports)
        self._door = Door(gateway.clients, policy, now)
        listen, port = split_address(gateway.listen)
        local = gateway.trust_local and ipaddress.ip_address(listen).is_loopback
        self._targets = Targets(gateway.allow_targets, settings.portal.places, (port,), local=local)
        self._answers = Answers(notices)
        self._seen, self._now = Seen(mac_key), now
        self._mac_key, self._behind = mac_key, behind
        self._vouched: dict[str, str] = {}
        self._tunnels: dict[str, Tunnel] = {}
        self._running: weakref.WeakSet[http.HTTPFlow] = weakref.WeakSet()
        self.addons = [Origins(self._targets, count, self._address)]
        """mitmproxy runs the hooks of these too."""

    @property
    def running_flows(self) -> int:
        """How many requests were passed on and are not yet answered in full."""
        return len(self._running)

    # Tunnels

    @fails_closed(guard.nothing)
    def client_disconnected(self, client: connection.Client) -> None:
        self._tunnels.pop(client.id, None)
        self._vouched.pop(client.id, None)

    @fails_closed(guard.answer_502)
    async def http_connect(self, flow: http.HTTPFlow) -> None:
        """Let a CONNECT through or refuse it."""
        self._tunnels.pop(flow.client_conn.id, None)
        if flow.response or flow.error:
            return  # another addon has answered, or mitmproxy refuses it by itself
        if self._behind:
            self._take_word(flow)
        else:
            self._count.event("http_connects")
        flow.response = await self._judge_connect(flow)

    def _take_word(self, flow: http.HTTPFlow) -> None:
        """Learn from the gateway whose tunnel this is."""
        request = flow.request
        said = [value for name, value in request.headers.fields if name.lower() == vouched.FIELD.lower()]
        del request.headers[vouched.FIELD.decode()]
        place = f"[{request.host}]:{request.port}" if ":" in request.host else f"{request.host}:{request.port}"
        now = self._now().timestamp()
        address = vouched.vouched(self._mac_key, said[0], place, now) if len(said) == 1 else None
        if address is not None:
            self._vouched[flow.client_conn.id] = address

    def _address(self, peer: connection.Client) -> str:
        """Return whose a connection is; empty where nobody vouches for it who must."""
        return self._vouched.get(peer.id, "") if self._behind else address_of(peer)

    def _admit(self, peer: connection.Client) -> Client | None:
        address = self._address(peer)
        return self._door.admit(address) if address else None

    async def _judge_connect(self, flow: http.HTTPFlow) -> http.Response | None:
        client = self._admit(flow.client_conn)
        if client is None:
            return self._not_served(flow)
        request = flow.request
        host, port = names.host(request.host), request.port
        given = [host_of(field) for field in request.headers.get_all("host")]
        if host is None or len(given) > 1 or None in given:
            return self._malformed(flow)
        if not self._targets.is_own(host, port):
            ruling = client.connection(dict.fromkeys(name for name in (host, *given) if name))
            if ruling.verdict.blocked:
                return self._block(flow, client, ruling)
            shut = port not in self._ports and not self._targets.is_local(client.address)
            if shut or not self._targets.allows_host(host, port, client.address):
                return self._answers.closed_target(flow)
        request.data.host = bare(host)  # what was judged is what will be dialled
        refusal = None if self._will_open(client, host, port) else await self._unresolved(flow)
        if refusal is None:
            self._tunnels[flow.client_conn.id] = Tunnel(host, port)
        return refusal

    def _will_open(self, client: Client, host: str, port: int) -> bool:
        """Tell whether TLS to this host will be opened, whatever server name it gives.

        A request inside can be answered then: a listed page gets its notice on a name that leads nowhere too. The
        Host field of the CONNECT says nothing here, for it is not asked when the TLS comes.
        """
        if self._targets.is_own(host, port):
            return False
        return passthrough.opens(self._tls, client.connection((host,)).verdict)

    async def _unresolved(self, flow: http.HTTPFlow) -> http.Response | None:
        """Say now what could only be said by hanging up once the tunnel stands."""
        host, port = flow.request.host, flow.request.port
        try:
            await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TargetRefusedError:
            return self._answers.closed_target(flow)
        except OSError:
            self._count.event("http_upstream_error")
            return self._answers.refuse(flow, 502)
        return None

    @fails_closed(guard.refuse_layer)
    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        """Let nothing but HTTP and TLS follow, and HTTP with our side towards the client."""
        chosen = nextlayer.layer
        if isinstance(chosen, layers.HttpLayer):
            sober(chosen, self._answers.error_page)
        elif chosen is not None and not isinstance(chosen, layers.modes.HttpProxy | layers.ServerTLSLayer):
            # Also a ClientTLSLayer by itself: TLS to the proxy's own port.
            nextlayer.layer = guard.Closed(nextlayer.context)

    @fails_closed(guard.refuse_hello)
    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """Open this TLS, pass it on, or leave it closed."""
        data.ignore_connection = False
        tunnel = self._tunnels.get(data.context.client.id)
        if tunnel is None or tunnel.greeted:
            self.refuse_tls(data.context.client.id)  # TLS within TLS that we opened
            return
        tunnel.greeted = True
        client = self._admit(data.context.client)
        tunnel.sni = passthrough.server_name(data.client_hello)
        if client is None:
            return
        if self._targets.is_own(tunnel.host, tunnel.port) and tunnel.sni in (None, tunnel.host):
            data.ignore_connection = True
            return
        verdict = client.connection(name for name in (tunnel.host, tunnel.sni) if name).verdict
        if passthrough.opens(self._tls, verdict) and not verdict.blocked:
            tunnel.opened = True
            return  # what is asked for inside is counted there
        self._count.verdict("http", verdict)
        data.ignore_connection = not verdict.blocked

    @fails_closed(guard.refuse_handshake)
    def tls_start_client(self, data: tls.TlsData) -> None:
        """Take back what mitmproxy prepared, unless this tunnel is to be opened."""
        tunnel = self._tunnels.get(data.context.client.id)
        if tunnel is None or not tunnel.opened:
            data.ssl_conn = None

    def refuse_tls(self, client_id: str) -> None:
        """See to it that TLS on this client's tunnel is neither opened nor passed on."""
        if tunnel := self._tunnels.get(client_id):
            tunnel.greeted, tunnel.opened = True, False

    # Requests

    @fails_closed(guard.answer_502)
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Answer a request or let it pass.

        Here, not in request(): with a streamed body that hook runs when the origin has already had it.
        """
        if flow.response:
            return  # another addon has answered
        self._count.event("http_requests")
        if flow.error or not flow.live:
            self._count.event("http_malformed")
            return  # mitmproxy refuses it by itself
        flow.response = self._judge_request(flow)
        if flow.response is None:
            self._running.add(flow)
            flow.request.stream = self._stream

    def _judge_request(self, flow: http.HTTPFlow) -> http.Response | None:
        client = self._admit(flow.client_conn)
        if client is None:
            return self._not_served(flow)
        request, tunnel = flow.request, self._tunnels.get(flow.client_conn.id)
        wanted = asked(request, tunnel, http2=flow.client_conn.alpn == b"h2")
        if wanted is None:
            return self._malformed(flow)
        if not self._is_own(wanted):
            refusal = self._act(flow, client, client.request(request.method, wanted.urls))
            if refusal is not None:
                return refusal
            if tunnel is None and not self._targets.allows_host(*place(wanted.target), client.address):
                return self._answers.closed_target(flow)
        if wanted.misdirected:
            return self._answers.refuse(flow, 421)
        forward.readdress(request, wanted.target, tunnel)
        forward.clean_request(request)
        return None

    def _act(self, flow: http.HTTPFlow, client: Client, ruling: Ruling) -> http.Response | None:
        """Do what a ruling on a request says: return an answer, or None to let it pass."""
        verdict = ruling.verdict
        if verdict.blocked:
            return self._block(flow, client, ruling)
        if verdict.action is not Action.WARN or verdict.match is None:
            self._count.verdict("http", verdict)
            return None
        who = client.address, ruling.host, verdict.match.listing.id, client.now
        if self._seen.shown(forward.seen_cookies(flow.request), *who):
            noted = dataclasses.replace(verdict.match, action=Action.FLAG)
            self._count.verdict("http", dataclasses.replace(verdict, match=noted))
            return None
        self._count.verdict("http", verdict)
        cookie = self._seen.cookie(*who, secure=flow.request.scheme == "https") if _is_visit(flow.request) else None
        return self._answers.warn(flow, client, ruling, cookie)

    @fails_closed(guard.kill_flow)
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Stream what comes from an origin."""
        if flow.response is not None and flow in self._running:
            forward.clean_response(flow.response)
            flow.response.stream = self._stream

    @fails_closed(guard.nothing)
    def response(self, flow: http.HTTPFlow) -> None:
        self._running.discard(flow)

    @fails_closed(guard.nothing)
    def error(self, flow: http.HTTPFlow) -> None:
        self._running.discard(flow)

    @fails_closed(guard.drop_message)
    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Forget a message once it is on its way: mitmproxy would keep them all."""
        if flow.websocket is not None:
            flow.websocket.messages.clear()

    # Answers

    def _block(self, flow: http.HTTPFlow, client: Client, ruling: Ruling) -> http.Response:
        self._count.verdict("http", ruling.verdict)
        self._count.event("notices")
        return self._answers.block(flow, client, ruling)

    def _not_served(self, flow: http.HTTPFlow) -> http.Response:
        self._count.event("http_refused_client")
        return self._answers.refuse(flow, 403)

    def _malformed(self, flow: http.HTTPFlow) -> http.Response:
        self._count.event("http_malformed")
        return self._answers.refuse(flow, 400)

    def _is_own(self, wanted: Asked) -> bool:
        """Tell whether all names of a request are the portal's: people must reach it whatever a list says."""
        return all(self._targets.is_own(*place(url)) for url in wanted.urls)


def _is_visit(request: http.Request) -> bool:
    """Tell whether a person looks at the answer: a picture inside a page must not say yes in their place."""
    accept = request.headers.get("accept", "*/*")
    aim = request.headers.get("sec-fetch-dest", "document")
    return request.method == "GET" and aim == "document" and (accept.startswith("*/*") or "text/html" in accept)
