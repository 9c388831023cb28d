"""An alert is logged, counted, posted and mailed, once; who raises it neither waits nor fails; nothing listed leaks."""

from __future__ import annotations

import json
import logging
import time

import pytest

from filterproxy.alerts import KINDS, Alert, Alerts, Hits, Owned, Pace
from filterproxy.alerts.alert import list_refused, list_stale, quarantine
from filterproxy.alerts.alerts import ways_of
from filterproxy.core.model import Entry, Kind, Scope
from filterproxy.runtime import logs
from filterproxy.settings import load_text
from tests.alerts.receivers import hook, mail_server, silent, until

SOON = Pace(gather=0.05, waits=(0.05, 0.05))
TEXT = """
[operator]
name = "Example ISP"
[runtime]
state = "{state}"
[alerts]
domains = ["shop.example"]
{ways}
[[lists]]
id = "hotline"
source = "hotline.urls"
format = "urls"
confidential = true
[[lists]]
id = "court"
source = "court.urls"
format = "urls"
"""
WAYS = """
webhook = "https://127.0.0.1:{hook}/mark-path?mark-query"
webhook_ca = "{ca}"
email = ["abuse@operator.example"]
[mail]
server = "127.0.0.1"
port = {mail}
ca = "{ca}"
sender = "filter@operator.example"
"""


@pytest.fixture
def started(tmp_path):
    """Return a function that starts alerts on one state folder; all are closed at the end."""
    made = []

    def start(ways="", pace=SOON, ways_out=None, clock=time.time):
        settings = load_text(TEXT.format(state=tmp_path, ways=ways))
        made.append(Alerts(settings, ways_out, pace, clock))
        return made[-1]

    yield start
    for alerts in made:
        alerts.close(20)


def hits(list_id, confidential, *paths):
    settings = load_text(TEXT.format(state="state", ways=""))
    listing = next(item for item in settings.listings if item.id == list_id)
    assert listing.confidential is confidential
    gathered = Hits(Owned.of(settings), listing, bytes(32))
    entries = [Entry(Kind.URL, f"shop.example/{path}", Scope.PAGE, line=1, reference="R-9") for path in paths]
    list(gathered.watch(entries))
    return gathered.alerts()


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_domain_alert_reaches_log_metric_webhook_and_mail_and_a_confidential_entry_reaches_none(
    started, trusted, capfd, form
):
    """All tell our domain, which the log leaves out where it may be the entry of a confidential list.

    The entry of an open list is told by webhook and mail, that of a confidential one never.
    """
    logging_before = logging.getLogger().handlers[:]
    logs.set_up("debug", form, "control")
    try:
        with hook(trusted) as posts, mail_server(trusted, "starttls") as mails:
            alerts = started(WAYS.format(hook=posts.port, mail=mails.port, ca=trusted.ca), Pace(gather=3600))
            alerts.raise_all(hits("hotline", True, "mark-confidential"))
            alerts.raise_all(hits("court", False, "open-entry"))
            alerts.close(20)
            posted, mailed = json.dumps(posts.taken[0][2]), mails.taken[0].as_string()
    finally:
        logging.getLogger().handlers[:] = logging_before
        logging.raiseExceptions = True
    logged = capfd.readouterr().err
    for told in (logged, posted, mailed):
        assert "falls on shop.example" in told
        assert "R-9" in told
        assert "mark" not in told
    assert posted.count("falls on shop.example") == 2
    [hidden] = [line for line in logged.splitlines() if "hotline" in line]
    assert "shop.example" not in hidden
    assert "R-9" in hidden
    assert "open-entry" in posted
    assert "open-entry" in mailed
    assert "open-entry" not in logged
    counts = alerts.counts()
    assert counts.raised["domain", "hotline"] == counts.raised["domain", "court"] == 1
    assert counts.undelivered == {"webhook": 0, "mail": 0}
    assert len(counts.raised) == len(KINDS) * 2


def test_a_list_that_is_read_again_tells_nothing_new_also_after_a_restart(started):
    """Only the entry that is new is an alert."""
    alerts = started()
    alerts.raise_all(hits("court", False, "a", "b"))
    alerts.raise_all(hits("court", False, "b", "a"))
    assert alerts.counts().raised["domain", "court"] == 2
    alerts.close(20)
    again = started()
    again.raise_all(hits("court", False, "a", "b", "c"))
    assert again.counts().raised["domain", "court"] == 1


def test_five_thousand_hits_are_one_mail_and_one_post(started, trusted):
    """Nobody reads five thousand mails."""
    with hook(trusted) as posts, mail_server(trusted, "starttls") as mails:
        ways = WAYS.format(hook=posts.port, mail=mails.port, ca=trusted.ca)
        alerts = started(ways, Pace(gather=3600))
        alerts.raise_all(hits("court", False, *map(str, range(5000))))
        alerts.close(20)
    (_, _, body), (mail,) = posts.taken[0], mails.taken
    assert len(posts.taken) == 1
    assert (body["count"], len(body["alerts"])) == (1001, 50)  # a thousand, and one for the rest
    assert "(1001)" in mail["Subject"]


def test_what_could_not_be_sent_is_raised_again_after_a_restart(started, dead_port, trusted):
    """A stop in the wrong moment loses no alarm; what was sent is not sent again."""
    dead = f'webhook = "https://127.0.0.1:{dead_port}/"\nwebhook_ca = "{trusted.ca}"\n'
    alerts = started(dead, Pace(gather=3600))
    alerts.raise_(list_stale("court", "", closed=True))
    alerts.close(20)
    assert alerts.counts().undelivered == {"webhook": 1}
    with hook(trusted) as posts:
        ways = dead.replace(str(dead_port), str(posts.port))
        for _ in range(2):
            again = started(ways)
            again.raise_(list_stale("court", "", closed=True))
            again.close(20)
    assert len(posts.taken) == 1


def test_a_way_that_stalls_delays_neither_who_raises_nor_the_other_way(started, trusted):
    """The webhook accepts and says nothing; the mail arrives, and ten thousand alerts are raised meanwhile."""
    with silent() as port, mail_server(trusted, "starttls") as mails:
        settings = load_text(TEXT.format(state="state", ways=WAYS.format(hook=port, mail=mails.port, ca=trusted.ca)))
        webhook, mail = ways_of(settings)
        webhook._step = 0.5  # type: ignore[attr-defined]
        alerts = started(pace=Pace(gather=0.3, waits=()), ways_out=[webhook, mail])
        begun = time.monotonic()
        for number in range(10_000):
            alerts.raise_(Alert("domain", "court", "…", {"number": number}))
        assert time.monotonic() - begun < 5
        until(lambda: mails.taken)
        until(lambda: alerts.counts().undelivered["webhook"])
        alerts.close(20)
        assert alerts.counts().undelivered["mail"] == 0


def test_what_is_held_back_is_not_named_in_the_log(started, caplog):
    """A reason for quarantine names the entry of an open list: for those who decide, not for a log."""
    alerts = started()
    alerts.raise_(quarantine("court", 1, "would block mark.example, one of the top sites", identity="1"))
    [told] = [record.fields for record in caplog.records]
    assert told == {"kind": "quarantine", "list": "court", "held": 1, "text": "Entries are in quarantine."}


def test_a_dead_receiver_is_tried_again_and_then_counted(started, dead_port, caplog):
    """The log says why, and nothing of the URL beyond."""
    alerts = started(f'webhook = "http://127.0.0.1:{dead_port}/mark-path?mark-query"\n')
    alerts.raise_(list_refused("court", "it stalled"))
    until(lambda: alerts.counts().undelivered["webhook"] == 1)
    told = [getattr(record, "fields", {}) for record in caplog.records]
    assert [fields.get("attempt") for fields in told] == [None, 1, 2, None]
    assert told[-1] == {"way": "webhook", "kind": "list_refused", "alerts": 1, "reason": "ConnectionRefusedError"}
    assert "mark" not in str(told) + caplog.text


def test_raising_never_raises(started, caplog):
    """Whatever is broken inside, the list that raised an alert goes on taking force."""

    def broken() -> float:
        raise RuntimeError("mark")

    alerts = started(clock=broken)
    alerts.raise_(list_refused("court", "it stalled"))
    assert [record.fields for record in caplog.records] == [{"error": "RuntimeError"}]


def test_a_state_folder_that_cannot_be_written_is_said_and_borne(started, tmp_path, caplog):
    """Alerts are told all the same."""
    (tmp_path / ".alerts.json.new").mkdir()
    alerts = started()
    alerts.raise_(list_refused("court", "it stalled"))
    alerts.close(5)
    assert [record.message for record in caplog.records] == ["alert", "alerts_not_remembered"]
