"""Alerts by e-mail: plain text, marked as written by a machine (RFC 3834), over verified TLS."""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from filterproxy.settings.private import read_private
from filterproxy.settings.tables import Mail

from .batch import Batch
from .line import STEP, WHOLE, line, verifying
from .outbox import DeliveryError

_log = logging.getLogger(__name__)


class Mailer:
    """A mail server and who is to read. The file of the password is read for each message."""

    name = "mail"

    def __init__(
        self, table: Mail, receivers: Sequence[str], operator: str, step: float = STEP, whole: float = WHOLE
    ) -> None:
        """Send by the server of `table`; one step may take `step` seconds, all of it `whole`."""
        self._table, self._receivers, self._operator = table, tuple(receivers), operator
        self._step, self._whole = step, whole

    def send(self, batch: Batch) -> None:
        """Hand a message to the server. Raises DeliveryError, SecretError or OSError where it did not take it."""
        table = self._table
        password = None if table.password is None else read_private(table.password).rstrip("\r\n")
        context = None if table.tls == "none" else verifying(table.ca)
        try:
            with line(table.server, table.port, self._step, self._whole) as sock:
                self._hand_over(sock, context, password, self.written(batch))
        except smtplib.SMTPResponseException as exc:  # its text is the server's
            raise DeliveryError(f"{type(exc).__name__} {exc.smtp_code}") from None
        except smtplib.SMTPException as exc:
            raise DeliveryError(type(exc).__name__) from None
        except ssl.SSLCertVerificationError as exc:
            raise DeliveryError(f"the certificate is not to be trusted: {exc.verify_message}") from None

    def _hand_over(
        self, sock: socket.socket, context: ssl.SSLContext | None, password: str | None, mail: EmailMessage
    ) -> None:
        table = self._table
        name = table.server.strip("[]")
        own, greeting = sock, _greeting(sock)
        if table.tls == "tls" and context is not None:
            own = context.wrap_socket(sock, server_hostname=name)
        server = _Given(own, name, greeting, self._step)
        try:
            if table.tls == "starttls":
                server.starttls(context=context)
            if table.user and password is not None:
                server.login(table.user, password)
            refused = server.send_message(mail, table.sender, list(self._receivers))
            if refused:  # the others have it: once more would be twice for them
                _log.error("alerts_mail_refused", extra={"fields": {"receivers": len(refused)}})
            with suppress(smtplib.SMTPException, OSError):  # it has taken the mail
                server.quit()
        finally:
            server.close()

    def written(self, batch: Batch) -> EmailMessage:
        """Return the mail for a message; the same one, also as the server sees it, each time."""
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._table.sender
        mail["To"] = ", ".join(self._receivers)
        mail["Subject"] = f"[filterproxy] {batch.title}"
        mail["Date"] = format_datetime(batch.at)
        mail["Message-ID"] = f"<{batch.id}@{self._table.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content("\n".join(_lines(batch, self._operator)) + "\n")
        return mail


class _Given(smtplib.SMTP):
    """An SMTP client on a socket that is connected already; `host` is what its certificate must name."""

    def __init__(self, sock: socket.socket, host: str, greeting: str, timeout: float) -> None:
        self._given = sock
        super().__init__(host, local_hostname=greeting, timeout=timeout)

    def _get_socket(self, *_: object) -> socket.socket:
        return self._given


def _greeting(sock: socket.socket) -> str:
    """Return what to greet with: this machine's full name, else its address (RFC 5321, section 4.1.4).

    Not socket.getfqdn, which asks the DNS and waits for it.
    """
    name = socket.gethostname()
    if "." in name and name.isascii():
        return name
    address = str(sock.getsockname()[0])
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _lines(batch: Batch, operator: str) -> Iterator[str]:
    """Yield the text of a mail."""
    yield f"{batch.title}."
    yield ""
    for alert in batch.alerts:
        yield f"- {alert.text}"
        told = [f"{name}: {value}" for name, value in alert.facts.items() if str(value) not in alert.text]
        if told:
            yield f"  {'; '.join(told)}"
    if batch.count > len(batch.alerts):
        yield f"- and {batch.count - len(batch.alerts)} more, which are not told here"
    yield ""
    yield f"{operator}, filterproxy, {batch.at:%Y-%m-%d %H:%M} UTC"
