"""One request and its answer over TLS to an address that was judged before. RFC 9112 as h11 reads it, strictly.

h11 has no socket in it, so every wait is ours, bounded by the stall and by what is left of the whole; what follows the
end is seen; and nobody else resolves the name, retries, follows, or writes the URL to a log.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import h11

from filterproxy.errors import SourceError

from .credentials import Headers
from .places import Place

_STEP = 256 * 1024
_GOODBYE = 1.0
"""Seconds that we wait for the end of a connection, to see whether more comes than was said."""
_INTERIM = 16
"""Answers that are none yet (1xx) at most: a server could send them until the time is over, and keep us busy."""
_NAMES_ANOTHER = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH; OpenSSL's own text would hold the name."""


class Deadline:
    """How long the whole may take, and how long nothing may come, in seconds."""

    def __init__(self, whole: float) -> None:
        """The time runs from now."""
        self._whole, self._stall, self._end = whole, whole / 10, time.monotonic() + whole

    def wait(self) -> float:
        """Return how long to wait for the next bytes. Raises SourceError where the time is over."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.over()
        return min(left, self._stall)

    def over(self) -> SourceError:
        """Return which of the two it was."""
        if time.monotonic() >= self._end:
            return SourceError(f"took longer than {self._whole:g} s")
        return SourceError(f"stalled: nothing came for {self._stall:g} s")


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer; its body is read once."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: Iterator[bytes]
    """Raises SourceError where it ends before or after what was said."""

    def header(self, name: bytes) -> str:
        """Return a field, its values joined; empty where there is none. Names are lower-case."""
        return ", ".join(value.decode("latin-1") for known, value in self.headers if known == name)


@contextmanager
def exchange(
    place: Place, addresses: Sequence[str], headers: Headers, context: ssl.SSLContext, deadline: Deadline
) -> Iterator[Answer]:
    """Ask for a place at the first of the addresses that takes the connection. Raises SourceError."""
    with _translated(deadline):
        raw = _connected(addresses, place.port, deadline)
    with raw:
        with _translated(deadline):
            raw.settimeout(deadline.wait())
            tls = context.wrap_socket(raw, server_hostname=place.host)
        with tls:
            wire = _Wire(tls, deadline)
            with _translated(deadline):
                head = wire.asked(place, headers)
            yield Answer(head.status_code, list(head.headers), wire.body(head))


class _Wire:
    def __init__(self, tls: ssl.SSLSocket, deadline: Deadline) -> None:
        self._tls, self._deadline, self._http = tls, deadline, h11.Connection(h11.CLIENT)

    def asked(self, place: Place, headers: Headers) -> h11.Response:
        fields = [(b"Host", place.authority.encode()), (b"Connection", b"close"), *headers]
        request = h11.Request(method=b"GET", target=place.target.encode(), headers=fields)
        sent = (self._http.send(request) or b"") + (self._http.send(h11.EndOfMessage()) or b"")
        self._tls.settimeout(self._deadline.wait())
        self._tls.sendall(sent)
        for _ in range(_INTERIM):
            if isinstance(event := self._next(), h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                break
        raise SourceError("no answer of HTTP came")

    def body(self, head: h11.Response) -> Iterator[bytes]:
        with _translated(self._deadline):
            said = {name for name, _ in head.headers} & {b"content-length", b"transfer-encoding"}
            if len(said) != 1:
                raise SourceError("the answer does not say, or says twice, how long it is")
            while not isinstance(event := self._next(), h11.EndOfMessage):
                if not isinstance(event, h11.Data):
                    raise SourceError("no answer of HTTP came")
                yield bytes(event.data)
            self._ended()

    def _next(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._tls.settimeout(self._deadline.wait())
            self._http.receive_data(self._tls.recv(_STEP))
        return event

    def _ended(self) -> None:
        """Raise SourceError where more comes than was said: then the list that we have is cut short."""
        more = bool(self._http.trailing_data[0])
        try:
            self._tls.settimeout(min(_GOODBYE, self._deadline.wait()))
            more = more or bool(self._tls.recv(1))
        except OSError:
            pass  # it stays open, or was closed roughly: nothing more came
        if more:
            raise SourceError("more came than the answer said")


def _connected(addresses: Sequence[str], port: int, deadline: Deadline) -> socket.socket:
    for number, address in enumerate(addresses, 1):
        try:
            return socket.create_connection((address, port), timeout=deadline.wait())
        except OSError:
            if number == len(addresses):
                raise
    raise SourceError("the name has no address")


@contextmanager
def _translated(deadline: Deadline) -> Iterator[None]:
    """Turn what others raise into one line that holds no part of a URL."""
    try:
        yield
    except TimeoutError:
        raise deadline.over() from None
    except ssl.SSLCertVerificationError as exc:
        reason = "it is for another name" if exc.verify_code in _NAMES_ANOTHER else exc.verify_message
        raise SourceError(f"its certificate is refused: {reason}") from None
    except ssl.SSLError as exc:
        raise SourceError(f"TLS failed: {(exc.reason or 'no reason given').lower().replace('_', ' ')}") from None
    except OSError as exc:
        raise SourceError(f"the connection failed: {exc.strerror or type(exc).__name__}") from None
    except h11.RemoteProtocolError:
        raise SourceError("the connection ended too early, or what came is not HTTP") from None
    except (h11.LocalProtocolError, ValueError):
        raise SourceError("the request cannot be sent") from None
