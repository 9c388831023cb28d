from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from filterproxy.core.decide import decide
from filterproxy.core.model import Entry, Kind, Question, Request, Scope
from filterproxy.keys.ring import public_half
from filterproxy.lists import publish
from filterproxy.lists.offline import compile_all
from filterproxy.lists.own import compile_own
from filterproxy.lists.reading import Reader
from filterproxy.lists.refresh import Refresher, compile_overrides
from filterproxy.lists.resealing import compiled_anew
from filterproxy.settings import Settings
from tests.policies import NOW, override
from tests.policies import url as url_of
from tests.seals import OPENING, SEALS


@pytest.fixture
def house(tmp_path):
    """A state folder, a domain list of 100 names, a secret URL list, and the settings of both."""
    domains, urls = tmp_path / "list.domains", tmp_path / "list.urls"
    domains.write_text("".join(f"b{number}.example\n" for number in range(100)))
    urls.write_text("h.example/secret-page\nno url at all\n")
    return Settings.model_validate({
        "runtime": {"state": str(tmp_path / "state")},
        "lists": [
            {"id": "domains", "format": "domains", "source": str(domains)},
            {"id": "urls", "format": "urls", "source": str(urls), "confidential": True},
        ],
        "profiles": [{"id": "default", "networks": ["0.0.0.0/0"], "deny": ["own.example"]}],
    })  # fmt: skip


def refresher(settings):
    """Return a refresher over the settings' state."""
    return Refresher(settings, SEALS)


def stored(settings):
    """Return the policy of what is in force on disk, the sources being away."""
    gone = settings.model_copy(
        update={"lists": tuple(item.model_copy(update={"source": "/nowhere"}) for item in settings.lists)}
    )
    return compile_all(gone, SEALS, OPENING)


def blocked(policy, name):
    """Tell whether a name is blocked."""
    return decide(Question("default", name), policy, NOW).blocked


def test_a_refresh_puts_lists_in_force_on_disk(house):
    """What was read is there after a restart, under a generation that grew."""
    first = refresher(house).refresh(house.lists, NOW)
    assert [status.state for status in first.statuses] == ["ok", "ok"]
    assert refresher(house).refresh(house.lists, NOW).generation == first.generation + 1
    assert blocked(stored(house), "b7.example")


@pytest.mark.parametrize(
    "content", ["", "b1.example\n" * 3, "\0" * 500, "x/y\n" * 500, "".join(f"c{n}.example\n" for n in range(1000))]
)
def test_a_refused_list_leaves_the_last_one_in_force(house, content, caplog):
    """Empty, cut short, binary, foreign or ten times larger: refused, reported, and the old one stays."""
    known = refresher(house)
    known.refresh(house.lists, NOW)
    path = house.lists[0].source
    with open(path, "w") as file:
        file.write(content)
    status = known.refresh(house.lists[:1], NOW).statuses[0]
    assert (status.state, status.refused) == ("refused", 1)
    assert "refused" in caplog.text
    assert blocked(stored(house), "b7.example")
    assert known.refresh(house.lists[:1], NOW).statuses[0].refused == 2


def test_a_file_that_lost_its_end_is_refused(house):
    """A cut in the middle of a name would block a stranger: `example.co` for `example.com`."""
    known = refresher(house)
    known.refresh(house.lists, NOW)
    path = Path(house.lists[0].source)
    path.write_bytes(path.read_bytes()[:-40])
    status = known.refresh(house.lists[:1], NOW).statuses[0]
    assert (status.state, "cut short" in status.reason) == ("refused", True)


def test_a_person_may_accept_what_a_gate_compares(house):
    """`accept` takes a list that shrank; an empty one is no list all the same."""
    known = refresher(house)
    known.refresh(house.lists, NOW)
    with open(house.lists[0].source, "w") as file:
        file.write("b1.example\n")
    assert known.refresh(house.lists[:1], NOW, accept=True).statuses[0].state == "ok"
    assert not blocked(stored(house), "b7.example")


def test_a_list_that_never_loaded_says_so(house):
    """Its status is `never`, and the others are in force."""
    away = house.lists[0].model_copy(update={"source": "/nowhere"})
    statuses = refresher(house).refresh([away, house.lists[1]], NOW).statuses
    assert [status.state for status in statuses] == ["never", "ok"]


def test_an_unchanged_list_grows_younger_without_a_new_segment(house):
    """Reading the same again touches its age alone."""
    known = refresher(house)
    before = known.refresh(house.lists, NOW).parts[0]
    after = known.refresh(house.lists, NOW + timedelta(hours=1)).parts[0]
    assert after.file == before.file
    assert after.loaded_at > before.loaded_at


def test_overrides_are_put_in_force_and_taken_away(house):
    """They spare one page of one list, survive a refresh, and end when they are no longer named."""
    known = refresher(house)
    known.refresh(house.lists, NOW)
    page = Request("default", "GET", url_of("http://h.example/secret-page"))
    known.override([override("urls", Entry(Kind.URL, "h.example/secret-page", Scope.PAGE))], NOW)
    known.refresh(house.lists, NOW)
    assert not decide(page, stored(house), NOW).blocked
    known.override([], NOW)
    assert decide(page, stored(house), NOW).blocked


def test_own_entries_are_put_in_force_and_what_is_no_longer_configured_goes(house):
    """A profile's deny entries hold; a list that left the configuration leaves the bundle."""
    known = refresher(house)
    known.refresh(house.lists, NOW)
    known.refresh_own(NOW)
    assert blocked(stored(house), "own.example")
    fewer = house.model_copy(update={"lists": house.lists[1:]})
    names = {part.name for part in refresher(fewer).refresh_own(NOW).parts}
    assert names == {"list:urls", "canary:urls", "deny:default"}


def test_bad_lines_are_reported_with_their_place_and_never_a_secret(house, caplog):
    """File and line are named; the text of a confidential list's line is not, nor any listed address on disk."""
    with caplog.at_level(logging.DEBUG):
        refresher(house).refresh(house.lists, NOW)
    assert f"{house.lists[1].source}:2:" in caplog.text
    assert "no url at all" not in caplog.text
    for path in publish.bundle_folder(house.runtime.state).iterdir():
        assert b"secret-page" not in path.read_bytes()


def test_a_damaged_manifest_is_read_over(house):
    """The product starts anew from the sources rather than not at all, and no generation stands for two bundles."""
    refresher(house).refresh(house.lists, NOW)
    (publish.bundle_folder(house.runtime.state) / publish.MANIFEST).write_text("nonsense")
    assert [status.state for status in refresher(house).refresh(house.lists, NOW).statuses] == ["ok", "ok"]


def test_a_bundle_says_until_when_it_is_good_and_under_which_keys(house):
    """Each is good for as long as the setting says; a refresher under another digest key begins anew."""
    manifest = refresher(house).refresh(house.lists, NOW)
    assert manifest.expires_at == (NOW + house.runtime.bundle_expires).isoformat()
    assert manifest.keys == SEALS.ids
    assert refresher(house).manifest == manifest
    assert Refresher(house, replace(SEALS, digest=b"d" * 32)).manifest.parts == ()


def test_a_generation_is_given_once(house, monkeypatch):
    """Not to a bundle that could not be written, nor to one that an older process put in force."""
    known = refresher(house)
    known.refresh(house.lists, NOW)
    with monkeypatch.context() as broken:
        broken.setattr(publish, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            known.refresh(house.lists, NOW)
    assert known.manifest.generation == 1
    assert known.refresh(house.lists, NOW).generation == 3
    publish.set_mark(house.runtime.state, 8)
    assert refresher(house).refresh(house.lists, NOW).generation == 9


@pytest.mark.parametrize("change", ["refresh", "override", "own"])
def test_what_could_not_be_put_in_force_leaves_no_file(house, monkeypatch, change):
    """A disk that was full once is not filled up by attempts."""
    known, folder = refresher(house), publish.bundle_folder(house.runtime.state)
    known.refresh(house.lists, NOW)
    known.refresh_own(NOW)
    before = {path.name for path in folder.iterdir()}
    Path(house.lists[1].source).write_text("h.example/another\n")
    work = {
        "refresh": lambda: known.refresh(house.lists, NOW),
        "override": lambda: known.override([override("urls", Entry(Kind.URL, "h.example/x", Scope.PAGE))], NOW),
        "own": lambda: known.refresh_own(NOW),
    }[change]
    with monkeypatch.context() as broken:
        broken.setattr(publish, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            work()
    assert {path.name for path in folder.iterdir()} == before
    work()
    assert len(list(folder.iterdir())) == len(known.manifest.parts) + 1


def test_a_list_is_compared_with_what_lies_on_disk_after_a_restart(house):
    """Its gates know what was in force, though nothing of it was kept in memory."""
    refresher(house).refresh(house.lists, NOW)
    known = refresher(house)
    Path(house.lists[0].source).write_text("".join(f"b{number}.example\n" for number in range(1, 101)))
    status = known.refresh(house.lists[:1], NOW).statuses[0]
    assert (status.state, status.changed) == ("ok", (1, 1))
    Path(house.lists[0].source).write_text("b1.example\n" * 3)
    assert known.refresh(house.lists[:1], NOW).statuses[0].state == "refused"


class Interrupted(Refresher):
    """Does something else between the reading of a list and what follows from it, once."""

    meanwhile: Callable[[], object] | None = None

    def read(self, table, now, *, accept=False, released=frozenset()):
        found = super().read(table, now, accept=accept, released=released)
        work, self.meanwhile = self.meanwhile, None
        if work is not None:
            work()
        return found


def whole(known):
    """Check that the bundle in force is one that the supervisor takes, and that nothing else lies beside it."""
    folder = publish.bundle_folder(known._settings.runtime.state)
    manifest = publish.load(folder, SEALS.signing_public)
    assert manifest is not None
    assert manifest == known.manifest
    for part in manifest.parts:
        for _ in publish.opened(folder, part, OPENING):
            pass
    assert {path.name for path in folder.iterdir()} == {publish.MANIFEST, *(part.file for part in manifest.parts)}


def test_a_list_that_was_replaced_while_it_was_found_unchanged_is_read_again(house, monkeypatch):
    """A manifest never names a file that went meanwhile: the source said "unchanged" of what is in force no more."""
    known = Interrupted(house, SEALS)
    part = known.refresh(house.lists, NOW).parts[0]
    sooner = known._turn = known._turn + 1  # of a reading that began before this one and is done in the middle of it
    with monkeypatch.context() as patched:
        patched.setattr(Reader, "read", lambda *_, **__: None)

        def replaced():
            patched.undo()
            Path(house.lists[0].source).write_text("".join(f"b{number}.example\n" for number in range(1, 101)))
            known._refresh(house.lists[:1], NOW, sooner, accept=False, released=None)

        known.meanwhile = replaced
        known.refresh(house.lists[:1], NOW)
    status = known.status("domains")
    assert status is not None
    assert status.state == "ok"
    assert known.manifest.parts[0].file != part.file
    whole(known)


def test_who_began_to_read_later_knew_more(house):
    """A reading that is overtaken changes nothing: not what people released since, nor a list whose licence ended."""
    known = Interrupted(house, SEALS)
    known.refresh(house.lists, NOW)
    released = {"domains": frozenset({"f" * 32})}
    known.meanwhile = lambda: known.refresh(house.lists[:1], NOW, released=released)
    overtaken = known.refresh(house.lists[:1], NOW, released={})
    assert overtaken == known.manifest
    assert known.manifest.statuses[0].released == ("f" * 32,)
    known.meanwhile = lambda: known.end(house.lists[:1], NOW)
    known.refresh(house.lists[:1], NOW)
    assert known.manifest.statuses[0].state == "ended"
    assert [part.name for part in known.manifest.parts] == ["list:urls"]
    whole(known)


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("damage", ["flipped", "gone"])
def test_one_damaged_segment_keeps_no_other_list_out_of_force(house, caplog, away, damage):
    """It is left out with its reason, and made anew as soon as its source can be read, were it to say the same."""
    folder = publish.bundle_folder(house.runtime.state)
    path = folder / refresher(house).refresh(house.lists, NOW).parts[0].file
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    if damage == "gone":
        path.unlink()
    if away:
        Path(house.lists[0].source).unlink()
    known = refresher(house)
    known.refresh(house.lists, NOW)
    assert "bundle: list:domains: " in caplog.text
    assert [status.state for status in known.manifest.statuses] == ["never" if away else "ok", "ok"]
    assert {part.name for part in known.manifest.parts} == {"list:urls"} | ({"list:domains"} if not away else set())
    whole(known)


def test_what_is_sealed_for_a_patterns_key_that_is_gone_is_read_anew(house, caplog):
    """Nobody could judge by it any more; and a list that says the same would stay sealed so for ever."""
    refresher(house).refresh(house.lists, NOW)
    known = Refresher(house, replace(SEALS, patterns_public=public_half("patterns", b"z" * 32)))
    assert "made under another patterns key" in caplog.text
    assert known.manifest.parts == ()


def test_entries_that_are_sealed_for_a_key_that_is_gone_are_written_anew(house, caplog):
    """What is in force stays so, also where a source is away; what can be read is sealed for the key in use."""
    parts = refresher(house).refresh(house.lists, NOW).parts
    Path(house.lists[1].source).unlink()
    seals = replace(SEALS, sealing_private=b"z" * 32, sealing_public=public_half("sealing", b"z" * 32))
    for _ in range(2):  # also where it was begun before a restart
        known = Refresher(house, seals)
        known.refresh(house.lists, NOW)
        found = {part.name: part.file for part in known.manifest.parts}
        assert found["list:domains"] != parts[0].file
        assert found["list:urls"] == parts[1].file
        assert len(list(known.entries(house.lists[0]))) == 100
        whole(known)
    assert caplog.text.count("list:domains: its entries are sealed under another key") == 1
    assert caplog.text.count("list:urls: its entries are sealed under another key") == 2


class Crowd:
    """Threads that do what they are told again and again, until time is over or one of them fails."""

    def __init__(self, seconds):
        self._end, self.failures = time.monotonic() + seconds, []
        self._threads: list[threading.Thread] = []

    def often(self, work, pause=0.0):
        self._threads.append(threading.Thread(target=self._run, args=(work, pause)))

    def _run(self, work, pause):
        number = 0
        while time.monotonic() < self._end and not self.failures:
            number += 1
            try:
                work(number)
            except BaseException as exc:  # noqa: BLE001 - whatever it is, the test fails by it
                self.failures.append(exc)
            time.sleep(pause)

    def wait(self):
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()
        assert not self.failures, self.failures


def test_nothing_is_lost_where_everything_happens_at_once(house, caplog):
    """Refreshes, overrides, own entries and new keys in many threads: whatever their order, the newest override is
    in force, generations grow, and every manifest names files that are there.
    """
    caplog.set_level(logging.CRITICAL)
    known, folder, crowd = refresher(house), publish.bundle_folder(house.runtime.state), Crowd(3)
    known.refresh(house.lists, NOW)
    newest, generations, one_decides = [""], [known.refresh_own(NOW).generation], threading.Lock()

    def refresh(number):
        new = Path(f"{house.lists[0].source}.{threading.get_ident()}")
        new.write_text("".join(f"b{name}.example\n" for name in range(number % 7, 100 + number % 7)))
        new.replace(house.lists[0].source)
        known.refresh(house.lists[number % 2 :], NOW + timedelta(seconds=number))

    def spare(number):
        with one_decides:
            manifest = known.override([override("urls", Entry(Kind.URL, f"h.example/{number}", Scope.PAGE))], NOW)
            newest[0] = next(part.file for part in manifest.parts if part.name == "override:urls")

    def rotate(number):
        seals = replace(SEALS, digest=bytes([number % 5 + 1]) * 32)
        spared = [override("urls", Entry(Kind.URL, "h.example/rotated", Scope.PAGE))]
        with one_decides:
            anew = compiled_anew(
                seals, folder, house.listings,
                lambda: [*compile_own(house, seals.digest), *compile_overrides(spared, house, seals.digest)],
            )  # fmt: skip
            manifest = known.rotate(anew, NOW)
            newest[0] = next(part.file for part in manifest.parts if part.name == "override:urls")

    def look(_):
        with known._lock:
            manifest = publish.load(folder, SEALS.signing_public)
            there = {path.name for path in folder.glob("*.seg")}
        assert manifest is not None
        assert {part.file for part in manifest.parts} <= there
        assert manifest.generation >= generations[-1]
        generations.append(manifest.generation)

    for work, pause in ((refresh, 0), (refresh, 0), (spare, 0.01), (rotate, 0.01), (look, 0.005)):
        crowd.often(work, pause)
    crowd.often(lambda _: known.refresh_own(NOW), 0.02)
    crowd.wait()
    assert next(part.file for part in known.manifest.parts if part.name == "override:urls") == newest[0]
    assert generations[-1] > generations[0] + 10
    whole(known)
