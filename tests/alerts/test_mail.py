"""A mail reaches whoever is to read it, by the server that the settings name, and nobody on the way reads it."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.alerts import Alert
from filterproxy.alerts.batch import Batch
from filterproxy.alerts.mail import Mailer
from filterproxy.alerts.outbox import DeliveryError
from filterproxy.errors import SecretError
from filterproxy.settings.tables import Mail
from tests.alerts.receivers import mail_server, silent

OURS = ("abuse@operator.example", "noc@operator.example")


def batch(text="It falls on shop.example.", count=1, **facts):
    found = Batch("domain", 1_772_000_000.0)
    for _ in range(count):
        found.add(Alert("domain", "court", text, facts))
    return found


def mailer(port, trusted, receivers=OURS, tls="starttls", **table):
    sender = "filter@operator.example"
    mail = Mail(server="127.0.0.1", port=port, tls=tls, ca=trusted.ca, sender=sender, **table)
    return Mailer(mail, receivers, "Example ISP", step=2, whole=10)


@pytest.mark.parametrize("tls", ["starttls", "tls", "none"])
def test_a_mail_arrives_marked_as_a_machines(trusted, tls):
    """Plain text with a date and a number of its own, to which no machine answers (RFC 3834)."""
    sent = batch(count=60, domain="shop.example", value="shop.example/gallery")
    with mail_server(trusted, tls) as mails:
        mailer(mails.port, trusted, tls=tls).send(sent)
    mail = mails.taken[0]
    assert mails.envelopes == [("filter@operator.example", list(OURS))]
    assert mail["Subject"] == "[filterproxy] Entries fall on domains of yours (60): court"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == f"<{sent.id}@operator.example>"
    assert mail["Date"].datetime == datetime.fromtimestamp(sent.opened, mail["Date"].datetime.tzinfo)
    assert mail.get_content_type() == "text/plain"
    text = mail.get_content()
    assert text.count("It falls on shop.example.") == 50
    assert "value: shop.example/gallery" in text
    assert "and 10 more" in text
    assert "Example ISP" in text


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_server_that_nobody_vouches_for_gets_nothing(trusted, foreign, tls):
    """Neither the mail nor the password."""
    with mail_server(foreign, tls) as mails, pytest.raises(DeliveryError, match="not to be trusted"):
        mailer(mails.port, trusted, tls=tls).send(batch())
    assert mails.taken == []


def test_a_server_without_starttls_gets_nothing(trusted):
    """Somebody on the way could have taken the offer out."""
    with mail_server(trusted, "none") as mails, pytest.raises(DeliveryError, match="SMTPNotSupportedError"):
        mailer(mails.port, trusted).send(batch())
    assert mails.taken == []


def test_it_logs_in_where_the_server_asks(trusted, secret):
    """With the password of the file, read anew for each mail; a wrong one is told without it."""
    with mail_server(trusted, "starttls", login=True) as mails:
        way = mailer(mails.port, trusted, user="filter", password=secret)
        way.send(batch())
        secret.write_text("mark")
        with pytest.raises(DeliveryError, match=r"^SMTPAuthenticationError 535$"):
            way.send(batch())
        with pytest.raises(DeliveryError, match="SMTPSenderRefused 530"):
            mailer(mails.port, trusted).send(batch())
    assert len(mails.taken) == 1
    assert mails.logins[0] == ("filter", "sesame")


def test_a_password_that_others_could_read_is_refused(trusted, secret, dead_port):
    """Before anything is sent."""
    secret.chmod(0o644)
    with pytest.raises(SecretError, match="readable by others"):
        mailer(dead_port, trusted, user="filter", password=secret).send(batch())


def test_one_receiver_who_is_unknown_keeps_nobody_from_reading(trusted, caplog):
    """The others have it, once; the log says how many do not."""
    with mail_server(trusted, "starttls") as mails:
        mailer(mails.port, trusted, (*OURS, "nobody@operator.example")).send(batch())
        with pytest.raises(DeliveryError, match="SMTPRecipientsRefused"):
            mailer(mails.port, trusted, ("nobody@operator.example",)).send(batch())
    assert mails.envelopes == [("filter@operator.example", list(OURS))]
    assert [record.fields for record in caplog.records if record.name == "filterproxy.alerts.mail"] == [
        {"receivers": 1}
    ]


def test_what_a_server_says_stays_out_of_the_reason(trusted):
    """Its text may hold anything; its code says enough."""
    with mail_server(trusted, "starttls") as mails:
        mails.refuse = "554 mark of the server"
        with pytest.raises(DeliveryError, match=r"^SMTPDataError 554$"):
            mailer(mails.port, trusted).send(batch())


@pytest.mark.parametrize("first", [b"", b"220 mail\r\n", b"220", b"500 no\r\n"])
def test_a_server_that_stalls_or_is_none_is_given_up(trusted, first):
    """Within the time that it has."""
    with silent(first) as port, pytest.raises((OSError, DeliveryError)):
        Mailer(Mail(server="127.0.0.1", port=port), OURS, "", step=0.2, whole=1).send(batch())


def test_a_server_that_drips_is_cut_off(trusted):
    """Line by line it could hold us for ever."""
    with silent(drip=b"220-and\r\n", pause=0.01) as port, pytest.raises((OSError, DeliveryError)):
        Mailer(Mail(server="127.0.0.1", port=port), OURS, "", step=1, whole=0.5).send(batch())


@given(st.text(max_size=300), st.text(max_size=120))
def test_no_text_becomes_a_header(trusted, text, operator):
    """Whatever a provider or an operator wrote, a mail has the headers that it has."""
    sent = batch(f"{text}\r\nBcc: all@operator.example", reference=f"\nBcc: {text}")
    written = Mailer(Mail(server="mail.example", sender="a@operator.example"), OURS, operator).written(sent)
    head = written.as_bytes().partition(b"\r\n\r\n")[0]
    assert {line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1].isalpha()} == {
        b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted", b"Content-Type",
        b"Content-Transfer-Encoding", b"MIME-Version",
    }  # fmt: skip
    assert written.get_content()
