"""The certificate of encrypted DNS, read again whenever its files change, while connections stay.

New handshakes are done with the new pair. One that does not fit, such as a certificate whose key is not written yet,
leaves the last one in force, is told, and is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Final

from filterproxy.errors import SecretError
from filterproxy.settings.private import read_private

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LOOK_SECONDS: Final = 1.0
"""How often the files are looked at."""

log = logging.getLogger(__name__)

State = tuple[tuple[int, int, int, int], ...]
"""What tells that files are as they were."""


class UnfitError(Exception):
    """A certificate and key cannot be used. The last ones stay in force; before the first, nothing is served."""


class Named(ssl.SSLObject):
    """A connection that knows by which name its server was called."""

    name: str | None = None
    """In lower case; None where the client gave none (RFC 6066), or nobody wanted to know."""


def load(certificate: Path, key: Path, alpn: Sequence[str], *, named: bool = False) -> ssl.SSLContext:
    """Return how connections are served with that pair (PEM), which speak one of `alpn`. Raises UnfitError.

    With `named` they know by which name we were called. Only where that counts: Python ends the handshake of a client
    that calls us by what is not ASCII, and reports it as a fault of ours.
    """
    try:
        read_private(key)
    except SecretError as exc:
        raise UnfitError(str(exc)) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(list(alpn))
    context.sslobject_class = Named
    if named:
        context.sni_callback = _called
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as exc:  # SSLError is an OSError; its text may quote no file, so it is not told
        reason = exc.strerror if isinstance(exc, OSError) and not isinstance(exc, ssl.SSLError) else None
        raise UnfitError(f"{certificate}, {key}: {reason or 'they do not fit together'}") from None
    return context


class Certificate:
    """A certificate and its key, as they are now."""

    def __init__(
        self, certificate: Path, key: Path, alpn: Sequence[str], event: Callable[[str], None], *, named: bool = False
    ) -> None:
        """Read the files; `event` counts what could not be used. `named` is as in `load`."""
        self._files, self._alpn, self._event, self._named = (certificate, key), alpn, event, named
        self._seen: State | None = None
        self._refused: State | None = None
        self.context: ssl.SSLContext | None = None
        """How new connections are served; None until there is a pair that fits."""
        self.look()

    async def keep(self) -> None:
        """Look at the files for as long as this runs."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Read the files where they have changed since they were last read."""
        state = tuple(map(_state, self._files))
        if state == self._seen:
            return
        try:
            context = load(*self._files, self._alpn, named=self._named)
        except UnfitError as exc:
            if state != self._refused:  # else it was told, and perhaps half of it is still to come
                self._refused = state
                self._event("dns_certificate_refused")
                log.error("dns_certificate_refused", extra={"fields": {"reason": str(exc)}})
            return
        if self._seen is not None:
            log.info("dns_certificate_changed", extra={"fields": {"alpn": self._alpn[0]}})
        self._seen, self._refused, self.context = state, None, context


def _state(path: Path) -> tuple[int, int, int, int]:
    """Return what changes with a file, also where it is replaced by another: a link counts as what it leads to."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return 0, 0, 0, 0
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _called(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    if isinstance(connection, Named) and name is not None:
        connection.name = name.lower().rstrip(".")


def _no_password() -> str:
    """Say that we know none, for OpenSSL would ask at the terminal."""
    return ""
