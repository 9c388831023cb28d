"""Alerts by webhook: one POST of JSON a message. docs/alerts.md says what it holds; `version` grows when that changes.

No redirect is followed, no proxy of the environment used, and neither path nor query of the URL is ever told: they
may be what authorises us.
"""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import filterproxy
from filterproxy.settings.private import read_headers
from filterproxy.settings.tables import Alerts

from .batch import Batch
from .line import STEP, WHOLE, line, verifying
from .outbox import DeliveryError

VERSION: Final = 1


class Webhook:
    """A receiver. `send` may be called again and again; the file of headers is read each time."""

    name = "webhook"

    def __init__(self, table: Alerts, operator: str, step: float = STEP, whole: float = WHOLE) -> None:
        """Post to `table.webhook`; one step may take `step` seconds, all of it `whole`."""
        self._table, self._operator, self._step, self._whole = table, operator, step, whole
        parts = urlsplit(table.webhook)
        self._tls = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def send(self, batch: Batch) -> None:
        """Post a message. Raises DeliveryError, SecretError or OSError where it was not taken with a 2xx."""
        file = self._table.webhook_headers
        headers = {} if file is None else read_headers(file)
        headers |= {"Content-Type": "application/json", "User-Agent": f"filterproxy/{filterproxy.__version__}"}
        body = json.dumps(message(batch, self._operator)).encode()
        try:
            status = self._post(body, headers)
        except http.client.HTTPException as exc:  # its text may be what the server sent
            raise DeliveryError(type(exc).__name__) from None
        except ssl.SSLCertVerificationError as exc:
            raise DeliveryError(f"the certificate is not to be trusted: {exc.verify_message}") from None
        if not 200 <= status < 300:
            raise DeliveryError(f"it answered {status}")

    def _post(self, body: bytes, headers: dict[str, str]) -> int:
        context = verifying(self._table.webhook_ca) if self._tls else None
        with line(self._host, self._port, self._step, self._whole) as sock:
            own = sock if context is None else context.wrap_socket(sock, server_hostname=self._host)
            default = 443 if self._tls else 80
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._step)
            connection.default_port = default  # so that Host names a port only where it must
            connection.auto_open = 0
            connection.sock = own
            try:
                connection.request("POST", self._target, body, headers | {"Connection": "close"})
                return connection.getresponse().status
            finally:
                connection.close()


def message(batch: Batch, operator: str) -> dict[str, Any]:
    """Return what is posted."""
    return {
        "version": VERSION,
        "id": batch.id,
        "at": batch.at.isoformat(timespec="seconds"),
        "operator": operator,
        "kind": batch.kind,
        "title": batch.title,
        "count": batch.count,
        "lists": dict(sorted(batch.lists.items())),
        "alerts": [{"list": alert.list_id, "text": alert.text, "facts": dict(alert.facts)} for alert in batch.alerts],
    }
