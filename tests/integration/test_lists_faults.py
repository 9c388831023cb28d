"""Lists from a real web server that fails: the old list stays in force, people are told, and what heals is taken."""

from __future__ import annotations

import base64
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from filterproxy.alerts import Alert
from filterproxy.core.decide import decide
from filterproxy.core.model import Question
from filterproxy.lists.offline import compile_all
from filterproxy.lists.publish import Part, Status, bundle_folder
from filterproxy.lists.refresh import Refresher
from filterproxy.settings import Settings
from tests.conftest import have
from tests.policies import NOW
from tests.seals import OPENING, SEALS

from .nginx import Source, source

pytestmark = have("nginx", "nginx")

SECRET = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
SIGNED = {"key": base64.b64encode(SECRET.public_key().public_bytes_raw()).decode()}
LATER = NOW + timedelta(hours=1)
LATEST = NOW + timedelta(hours=2)


def names(first: int, last: int) -> bytes:
    """Return a list of names in which each line is as long as any other."""
    return b"".join(b"name%06d.example\n" % number for number in range(first, last))


OLD, NEW = names(0, 300), names(1, 301)
PAGE = b"<!doctype html>\n<title>Welcome</title>\n" + b"<p>Log in to use this network\n" * 20


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    with source(tmp_path_factory.mktemp("source")) as found:
        yield found


@dataclass
class House:
    """A state folder, and a list that comes from the site."""

    site: Source
    state: Path
    options: dict[str, Any] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)

    def settings(self, **more: Any) -> Settings:
        fetch = self.site.fetch(**more.pop("fetch", {}))
        table = {"id": "web", "format": "domains", "source": self.site.url(), "fetch": fetch, **self.options, **more}
        return Settings.model_validate({"runtime": {"state": str(self.state)}, "lists": [table]})

    def refresh(self, now: datetime, *, accept: bool = False, **more: Any) -> tuple[Status, Part | None]:
        """Read the list as a product does that has just started with these settings."""
        settings = self.settings(**more)
        manifest = Refresher(settings, SEALS, self.alerts.append).refresh(settings.lists, now, accept=accept)
        part = next((part for part in manifest.parts if part.name == "list:web"), None)
        return manifest.statuses[0], part

    def blocked(self, *wanted: str, **more: Any) -> list[bool]:
        """Tell which names are blocked by what is in force on disk."""
        policy = compile_all(self.settings(**more), SEALS, OPENING)
        return [decide(Question("default", name), policy, NOW).blocked for name in wanted]

    def segments(self) -> set[str]:
        return {path.name for path in bundle_folder(self.state).glob("*.seg")}


@pytest.fixture
def house(site: Source, tmp_path: Path) -> Iterator[House]:
    """A house in which the old list is in force."""
    found = House(site, tmp_path)
    site.put(OLD)
    status, _ = found.refresh(NOW)
    assert (status.state, found.alerts) == ("ok", [])
    yield found
    site.heal()


def kept(house: House, before: Part | None, status: Status, part: Part | None, reason: str) -> None:
    """Assert that the last reading was refused for a reason, that people were told, and that nothing else changed."""
    assert (status.state, status.refused) == ("refused", 1)
    assert re.fullmatch(reason, status.reason), status.reason
    assert [(alert.kind, alert.list_id) for alert in house.alerts] == [("list_refused", "web")]
    assert status.reason in house.alerts[0].text
    assert house.alerts[0].facts == {"reason": status.reason}
    assert part == before  # its file, its digest and when it was last read
    assert house.blocked("name000000.example", "name000299.example", "name000300.example") == [True, True, False]


def healed(house: House, **more: Any) -> None:
    """Assert that the list is taken once its source is well."""
    house.site.put(NEW)
    status, part = house.refresh(LATEST, **more)
    assert (status.state, status.reason, status.refused) == ("ok", "", 0)
    assert part is not None
    assert part.loaded_at == LATEST.isoformat()
    assert house.blocked("name000000.example", "name000299.example", "name000300.example") == [False, True, True]
    assert len(house.alerts) == 1


FAULTS = [
    ("404", {}, "answered 404"),
    ("500", {}, "answered 500"),
    ("http", {}, "redirected to what is not an https URL"),
    ("away", {}, "the name (does not resolve|was not resolved in time)"),
    ("circle", {}, "redirected more than 5 times"),
    ("stall", {"timeout": "5s"}, r"stalled: nothing came for 0\.5 s"),
    ("drip", {"timeout": "2s"}, "took longer than 2 s"),
    ("short", {}, "the connection ended too early, or what came is not HTTP"),
    ("unchunked", {}, "the connection ended too early, or what came is not HTTP"),
    ("reset", {}, "the connection ended too early, or what came is not HTTP"),
    ("noise", {}, "the connection ended too early, or what came is not HTTP"),
]


@pytest.mark.parametrize(("fault", "fetch", "reason"), FAULTS)
def test_a_source_that_fails_leaves_the_old_list_in_force(house, fault, fetch, reason):
    """Whatever goes wrong on the way: refused with its reason, an alert, the old list untouched; then it heals."""
    _, before = house.refresh(NOW)
    house.site.fail(fault)
    start = time.monotonic()
    status, part = house.refresh(LATER, fetch=fetch)
    assert time.monotonic() - start < 8
    kept(house, before, status, part, f"localhost: {reason}")
    healed(house)


CONTENTS = [
    (b"", "no entry in it"),
    (PAGE, "no entry in it, but 22 bad lines"),
    (b"\x7fELF\0\0\0" * 100, "localhost: binary, not a list"),
    (names(0, 100), "100 entries where there were 300: it looks cut short"),
    (names(0, 299)[:-4], "its last line has no end, and 2 entries are gone: cut short"),
    (names(1000, 1300), "300 of 300 entries are gone at once: it looks like another list"),
    (names(0, 4000), "4000 entries where there were 300: 10 times larger or more"),
    (b"\x1f\x8b\x08\0\0\0\0\0 no gzip", "localhost: the packed list is damaged, or something follows it"),
]


@pytest.mark.parametrize(("content", "reason"), CONTENTS)
def test_what_is_not_the_list_any_more_leaves_the_old_one_in_force(house, content, reason):
    """Nothing, a log-in page, a program, a part, another list: each is refused by its name."""
    _, before = house.refresh(NOW)
    house.site.put(content)
    status, part = house.refresh(LATER)
    kept(house, before, status, part, reason)
    healed(house)


def test_a_bomb_leaves_the_old_list_in_force(house):
    """10 GB from a small file end at the limit, at once."""
    _, before = house.refresh(NOW)
    house.site.bomb()
    status, part = house.refresh(LATER, fetch={"max_unpacked": 10**7})
    kept(house, before, status, part, "localhost: larger than 10000000 bytes once unpacked")
    healed(house)


def test_a_length_that_is_too_small_leaves_the_old_list_in_force(house):
    """A server that says fewer bytes than it has ends in the middle of a line: that name is nobody's."""
    house.site.put(b"".join(b"half%d.example\n" % number for number in range(300)))
    status, before = house.refresh(NOW, accept=True)
    assert status.state == "ok"
    house.site.fail("less")
    status, part = house.refresh(LATER)
    assert (status.state, part) == ("refused", before)
    assert status.reason == "its last line has no end, and 1 entries are gone: cut short"
    assert house.blocked("half298.example", "half299.example", "half299.ex") == [True, True, False]
    assert [alert.kind for alert in house.alerts] == ["list_refused"]


@contextmanager
def meanwhile(path: Path, change: Any) -> Iterator[None]:
    """Change a file a moment after the server has begun to send it."""
    timer = threading.Timer(0.3, change, [path])
    timer.start()
    try:
        yield
    finally:
        timer.join()


def test_a_list_cut_while_it_comes_leaves_the_old_one_in_force(house):
    """The file on the server is truncated in place between its first byte and its last."""
    long = names(0, 16_000)
    house.site.put(long)
    _, before = house.refresh(NOW, accept=True)
    house.site.put(long)
    house.site.fail("slow")
    with meanwhile(house.site.file(), lambda path: os.truncate(path, len(long) - 17)):
        status, part = house.refresh(LATER)
    assert (status.state, part) == ("refused", before)
    assert [alert.kind for alert in house.alerts] == ["list_refused"]
    assert status.reason == "localhost: the connection ended too early, or what came is not HTTP"
    assert house.blocked("name000000.example", "name015999.example") == [True, True]


def overwrite(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


def test_two_versions_in_one_answer_are_refused_where_the_list_is_signed(house):
    """Half of the old and half of the new is what nobody signed."""
    long, other = names(0, 16_000), names(100, 16_100)
    house.site.put(long)
    house.site.put(SECRET.sign(long), "list.sig")
    _, before = house.refresh(NOW, accept=True, signed=SIGNED)
    house.site.put(long)
    house.site.fail("slow")
    with meanwhile(house.site.file(), lambda path: overwrite(path, other)):
        status, part = house.refresh(LATER, signed=SIGNED)
    assert (status.state, part) == ("refused", before)
    assert status.reason == "localhost: signature: the signature does not fit the list"
    assert [alert.kind for alert in house.alerts] == ["list_refused"]
    house.site.heal()
    house.site.put(SECRET.sign(other), "list.sig")
    assert house.refresh(LATEST, signed=SIGNED)[0].state == "ok"
    assert house.blocked("name000000.example", "name016050.example") == [False, True]


def test_what_is_not_signed_or_by_another_is_refused(site, tmp_path):
    """Before the first good version nothing is in force; after it, that one, until the signature fits again."""
    house = House(site, tmp_path, {"signed": SIGNED})
    site.put(OLD)
    site.file("list.sig").unlink(missing_ok=True)
    status, part = house.refresh(NOW)
    assert (status.state, status.reason, part) == ("never", "localhost: signature: answered 404", None)
    assert house.blocked("name000000.example") == [False]
    site.put(SECRET.sign(OLD), "list.sig")
    status, before = house.refresh(NOW)
    assert (status.state, [alert.kind for alert in house.alerts]) == ("ok", ["list_refused"])
    house.alerts.clear()
    site.put(NEW)
    site.put(Ed25519PrivateKey.from_private_bytes(b"x" * 32).sign(NEW), "list.sig")
    status, part = house.refresh(LATER)
    kept(house, before, status, part, "localhost: signature: the signature does not fit the list")
    site.put(SECRET.sign(NEW), "list.sig")
    healed(house)


def test_a_list_that_moved_is_taken(house):
    """A redirect that stays on https is no fault."""
    house.site.put(NEW, "elsewhere")
    house.site.fail("moved")
    assert house.refresh(LATER)[0].state == "ok"
    assert house.blocked("name000300.example") == [True]
    assert house.alerts == []


def test_an_unchanged_list_is_not_sent_again_and_counts_as_read(house):
    """304: the same segment, younger; and so where the same comes under another ETag."""
    count = len(house.site.asked("list", 0))
    _, first = house.refresh(NOW)
    here, status = house.segments(), house.refresh(LATER)
    assert house.site.asked("list", count + 2)[-1].startswith("304 ")
    assert status[0].state == "ok"
    assert status[1] is not None
    assert first is not None
    assert (status[1].file, status[1].loaded_at, house.segments()) == (first.file, LATER.isoformat(), here)
    house.site.put(OLD)
    _, again = house.refresh(LATEST)
    assert house.site.asked("list", count + 3)[-1].startswith("200 ")
    assert again is not None
    assert (again.file, again.loaded_at, house.segments()) == (first.file, LATEST.isoformat(), here)
    assert house.blocked("name000000.example") == [True]


def test_after_a_refusal_the_version_in_force_is_asked_for(house):
    """A version that was refused is never taken for unchanged."""
    before, _ = house.refresh(NOW)
    house.site.put(names(0, 20))
    for number in (1, 2):
        status, _ = house.refresh(LATER)
        assert (status.state, status.refused, status.etag) == ("refused", number, before.etag)
    house.site.put(OLD)
    assert house.refresh(LATEST)[0].state == "ok"


def test_a_304_to_one_who_asked_for_the_whole_is_refused(house):
    """Where the settings have changed there is nothing that it could mean."""
    _, before = house.refresh(NOW)
    house.site.fail("304")
    assert house.refresh(NOW)[0].state == "ok"
    status, part = house.refresh(LATER, subdomains=False)
    kept(house, before, status, part, "localhost: answered 304, although nothing was asked of an older version")


def test_changed_settings_take_force_though_the_source_has_not_changed(house):
    """The whole is asked for, without an ETag, and read as the settings say now."""
    assert house.blocked("name000000.example", "sub.name000000.example") == [True, True]
    count = len(house.site.asked("list", 0))
    status, _ = house.refresh(LATER, subdomains=False)
    assert (status.state, house.site.asked("list", count + 1)[-1]) == ("ok", "200 [-]")
    assert house.blocked("name000000.example", "sub.name000000.example", subdomains=False) == [True, False]


def test_a_signature_that_is_asked_for_from_now_on_is_asked_for_now(house):
    """An unsigned list is not kept as unchanged once the settings want a signature."""
    house.site.file("list.sig").unlink(missing_ok=True)
    _, before = house.refresh(NOW)
    status, part = house.refresh(LATER, signed=SIGNED)
    kept(house, before, status, part, "localhost: signature: answered 404")


def test_another_source_is_read_whole(house):
    """What one source said of its version is not told to another: its list could have the same ETag, or be older."""
    house.site.put(NEW, "other")
    moment = house.site.file().stat().st_mtime
    os.utime(house.site.file("other"), (moment, moment))
    status, _ = house.refresh(LATER, source=house.site.url("other"))
    assert status.state == "ok"
    assert house.blocked("name000300.example") == [True]


def test_at_the_end_of_its_licence_a_list_is_wiped(house):
    """Its segment goes from the disk, nothing of it is blocked, and a refresh says so for ever."""
    _, part = house.refresh(NOW)
    assert part is not None
    assert part.file in house.segments()
    over = {"licence_until": date(2026, 2, 28)}
    settings = house.settings(**over, on_failure="closed")
    manifest = Refresher(settings, SEALS, house.alerts.append).end(settings.lists, LATER)
    assert (manifest.statuses[0].state, manifest.statuses[0].reason) == ("ended", "its licence ended on 2026-02-28")
    assert part.file not in house.segments()
    assert [item.name for item in manifest.parts] == []
    assert house.blocked("name000000.example", **over, on_failure="closed") == [False]


def test_a_source_that_stalls_keeps_no_other_list_waiting(house, tmp_path):
    """While one list trickles in, a file is read and put in force, and a difference is told."""
    path = tmp_path / "file"
    path.write_text("local.example\n")
    web = house.settings(fetch={"timeout": "3s"}).lists[0]
    mine = web.model_copy(update={"id": "mine", "source": str(path)})
    settings = house.settings().model_copy(update={"lists": (web, mine)})
    refresher = Refresher(settings, SEALS)
    house.site.fail("drip")
    slow = threading.Thread(target=refresher.refresh, args=([web], LATER))
    slow.start()
    time.sleep(0.3)
    begun = time.monotonic()
    assert refresher.refresh([mine], LATER).statuses[-1].state == "ok"
    assert refresher.read(mine, LATER, accept=True) is not None
    assert time.monotonic() - begun < 1
    assert slow.is_alive()
    slow.join()
    assert [status.state for status in refresher.manifest.statuses] == ["refused", "ok"]
