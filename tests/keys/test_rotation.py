"""Rotation in the key folder: whole or undone at every step, and nothing of an old key is left that nobody needs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from filterproxy.errors import SecretError
from filterproxy.keys import ROTATED, UNDER_BUNDLE, Keys, rotation

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Killed(BaseException):
    """Stands for the end of the process between two steps."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "keys"
    Keys.open_or_create(made)
    return made


def secret(keys: Keys, name: str) -> bytes:
    """Return what of a key pair, or the key, nobody else has."""
    found: bytes = getattr(keys, name if name == "digest" else f"{name}_private")
    return found


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", ROTATED)
def test_a_begun_rotation_changes_nothing_that_is_in_use(folder, name):
    """The next key lies beside the one in use, closed to others; begun twice it is still the same one."""
    before = Keys.open(folder)
    begun = rotation.begin(folder, name)
    assert replace(begun, next={}) == before
    assert (folder / f"{name}.next.key").stat().st_mode & 0o777 == 0o600
    assert rotation.begin(folder, name) == begun == Keys.open_or_create(folder)
    assert secret(begun.after(name), name) == begun.next[name] != secret(before, name)


@pytest.mark.parametrize("name", ROTATED)
def test_a_finished_rotation_puts_the_next_key_in_place(folder, name):
    """What was promised by `after` is what lies in the folder, and of the old key its bytes are nowhere else."""
    old = (folder / f"{name}.key").read_bytes()
    promised = rotation.begin(folder, name).after(name)
    assert rotation.finish(folder, name, NOW) == Keys.open(folder) == promised
    kept = {path.name for path in folder.iterdir() if path.read_bytes() == old}
    assert kept == ({"token-20260301T120000Z.key"} if name == "token" else set())
    assert f"{name}.next.key" not in names(folder)
    assert rotation.finish(folder, name, NOW) == promised


def test_what_bore_the_name_is_overwritten(folder):
    """Whoever reads the disk beneath the files finds zeros; a copy under another name is the operator's own."""
    with (folder / "digest.key").open("rb") as gone:
        rotation.begin(folder, "digest")
        rotation.finish(folder, "digest", NOW)
        assert gone.read() == bytes(32)
    content = (folder / "sealing.key").read_bytes()
    os.link(folder / "sealing.key", folder.parent / "copy")
    rotation.begin(folder, "sealing")
    rotation.finish(folder, "sealing", NOW)
    assert (folder.parent / "copy").read_bytes() == content


def test_earlier_keys_are_kept_for_as_long_as_they_open_or_show_something(folder):
    """Tokens are opened by earlier keys for 31 days; earlier public halves of the signing key stay for ever."""
    before = Keys.open(folder)
    for day in (0, 20):
        for name in ("token", "signing"):
            rotation.begin(folder, name)
            rotation.finish(folder, name, NOW + timedelta(days=day))
    keys = Keys.open(folder)
    assert keys.token_previous[1] == before.token_private
    assert keys.signing_previous[1] == before.signing_public
    assert before.signing_private not in {path.read_bytes() for path in folder.iterdir()}
    assert rotation.expire(folder, NOW + timedelta(days=31)) == 0
    assert rotation.expire(folder, NOW + timedelta(days=32)) == 1
    assert Keys.open(folder) == replace(keys, token_previous=keys.token_previous[:1])
    rotation.expire(folder, NOW + timedelta(days=1000))
    assert Keys.open(folder) == replace(keys, token_previous=())


@pytest.mark.parametrize("name", UNDER_BUNDLE)
def test_the_bundle_decides_which_key_is_in_use(folder, name):
    """The manifest names a key by its id: the next one takes its place once it is the one that is named."""
    begun = rotation.begin(folder, name)
    after = begun.after(name)
    assert begun.ids[name] != after.ids[name]
    assert begun.under(begun.ids) == begun
    assert secret(begun.under(after.ids), name) == secret(after, name)
    assert begun.under({}) == begun
    assert rotation.settle(folder, begun.ids, NOW) == begun
    assert rotation.settle(folder, {}, NOW) == begun
    assert rotation.settle(folder, after.ids, NOW) == after == Keys.open(folder)


def test_several_rotations_may_have_begun(folder):
    """Each is settled by itself."""
    begun = [rotation.begin(folder, name) for name in UNDER_BUNDLE][-1]
    ids = begun.ids | {"patterns": begun.after("patterns").ids["patterns"]}
    settled = rotation.settle(folder, ids, NOW)
    assert settled == begun.after("patterns")
    assert set(settled.next) == {"digest", "sealing", "signing"}


@pytest.mark.parametrize("name", UNDER_BUNDLE)
def test_a_start_gives_up_what_no_bundle_was_made_under(folder, name):
    """Where the newest bundle names the key in use, the next one is needed by nothing and goes."""
    before = Keys.open(folder)
    rotation.begin(folder, name)
    assert rotation.resume(folder, {}, NOW).next.keys() == {name}, "without a manifest nobody can tell"
    assert rotation.resume(folder, before.ids, NOW) == before
    assert f"{name}.next.key" not in names(folder)


def test_a_start_finishes_the_rotation_of_the_tokens_key(folder):
    """Notices may have been sealed under it, so it is never given up; the one before still opens."""
    begun = rotation.begin(folder, "token")
    assert rotation.resume(folder, begun.ids, NOW) == begun.after("token")


def steps(monkeypatch: pytest.MonkeyPatch, number: int) -> Callable[[], int]:
    """Have the process end before the step `number` that touches the disk; return how many there were."""
    done = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **more: object) -> object:
            nonlocal done
            done += 1
            if done == number:
                raise Killed
            return real(*args, **more)

        return step

    for name in ("open", "rename", "unlink", "fsync", "write", "pwrite", "ftruncate"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    return lambda: done


@pytest.mark.parametrize("name", ROTATED)
@pytest.mark.parametrize("in_force", [False, True])
def test_a_crash_at_any_step_leaves_the_old_key_or_the_new(tmp_path, name, in_force, monkeypatch):
    """Wherever it is cut off, the next start has one of the two, the one that the bundle names, and can go on."""
    number, ended = 0, False
    while not ended:
        number += 1
        assert number < 200
        folder = tmp_path / f"keys{number}"
        before = Keys.open_or_create(folder)
        ids = before.ids
        with monkeypatch.context() as patched:
            count = steps(patched, number)
            try:
                begun = rotation.begin(folder, name)
                if in_force:
                    ids = begun.after(name).ids  # the bundle that names it takes force between the two
                    if name == "token":
                        rotation.finish(folder, name, NOW)
                    rotation.settle(folder, ids, NOW)
                ended = count() < number
            except Killed:
                pass
        after = rotation.resume(folder, ids, NOW + timedelta(seconds=1))
        assert after == Keys.open(folder) == Keys.open_or_create(folder)
        assert after.next == {}
        assert after.ids == ids
        others = [other for other in ROTATED if other != name]
        assert [secret(after, other) for other in others] == [secret(before, other) for other in others]
        if name == "token":
            assert secret(before, name) in (after.token_private, *after.token_previous)
        assert not [path for path in names(folder) if path.endswith(".new")]


def test_keys_that_cannot_be_written_stay_what_they_are(folder, monkeypatch):
    """A disk that is full is told, by its reason; the key in use is untouched."""
    before = Keys.open(folder)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(SecretError, match=r"^keys: keys cannot be written: No space left on device$"):
            rotation.begin(folder, "digest")
    assert Keys.open(folder) == before


def test_a_next_key_that_others_may_read_is_refused(folder):
    """It is a key like the others."""
    rotation.begin(folder, "digest")
    (folder / "digest.next.key").chmod(0o644)
    with pytest.raises(SecretError, match=r"^keys/digest\.next\.key is readable by others: chmod 600$"):
        Keys.open(folder)


@pytest.mark.parametrize("name", ["token", "signing"])
def test_rotations_within_one_second_lose_no_earlier_key(folder, name):
    """Each is kept under a name of its own: notices sealed a moment ago still open, results are still told as ours."""
    before: list[Keys] = []
    for _ in range(3):
        before.insert(0, Keys.open(folder))
        rotation.begin(folder, name)
        rotation.finish(folder, name, NOW)
    keys = Keys.open(folder)
    assert name != "token" or keys.token_previous == tuple(kept.token_private for kept in before)
    assert name != "signing" or keys.signing_previous == tuple(kept.signing_public for kept in before)


def test_a_key_that_reached_the_disk_in_part_takes_no_place(folder, monkeypatch):
    """A disk that is full: nothing has changed, and the product would start."""
    before, write = Keys.open(folder), os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, content: write(file, content[:7]))
        with pytest.raises(SecretError, match="No space left"):
            rotation.begin(folder, "digest")
    assert Keys.open(folder) == before
    assert rotation.resume(folder, before.ids, NOW) == before
