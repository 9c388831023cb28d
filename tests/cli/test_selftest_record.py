"""The signed record of a self-test: whoever changes a word of it is found out."""

from __future__ import annotations

import base64
import json
import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.cli import selftest_record as record
from filterproxy.errors import SecretError

RESULT = {
    "format": record.FORMAT, "operator": "Somebody", "at": "2026-03-01T12:00:00+00:00", "version": "1", "generation": 7,
    "lists": [{"id": "a", "ü": 1}], "summary": {},
}  # fmt: skip
KEY, OTHER = b"s" * 32, b"t" * 32


def test_a_record_is_verified_by_its_key_and_no_other():
    """The signature holds under the key inside, and under the one that was given to the reader if it is that."""
    text = record.sign(RESULT, KEY).encode()
    mine, others = (json.loads(record.sign(RESULT, key))["key"] for key in (KEY, OTHER))
    assert record.verify(text) == record.verify(text, mine)
    assert (record.verify(text) or {})["result"] == RESULT
    assert record.verify(text, others) is None
    with pytest.raises(SecretError, match="--key"):
        record.verify(text, "no key")


@pytest.mark.parametrize("change", [
    lambda found: found["result"].update(at="2027-03-01T12:00:00+00:00"),
    lambda found: found["result"]["lists"].pop(),
    lambda found: found.update(key=json.loads(record.sign(RESULT, OTHER))["key"]),
    lambda found: found.update(signature=base64.b64encode(bytes(64)).decode()),
    lambda found: found.update(signature=""),
])  # fmt: skip
def test_a_changed_record_does_not_verify(change):
    """A date, a list, a key or a signature: nothing can be changed or put in another's place."""
    found = json.loads(record.sign(RESULT, KEY))
    change(found)
    assert record.verify(json.dumps(found).encode()) is None


@pytest.mark.parametrize("change", [{"summary": []}, {"summary": None}, {"format": "filterproxy selftest 2"}])
def test_a_signed_text_that_is_no_result_is_an_error(change):
    """Whoever has a key can sign anything; only what has a result's form is called one."""
    for result in (RESULT | change, {name: value for name, value in RESULT.items() if name not in ("at", *change)}):
        with pytest.raises(SecretError, match="no result"):
            record.verify(record.sign(result, KEY).encode())


def test_space_and_order_are_no_change():
    """What is signed is the result, not how a program happened to write it down."""
    found = json.loads(record.sign(RESULT, KEY))
    assert record.verify(json.dumps(dict(reversed(found.items())), indent=4).encode()) is not None


@given(st.one_of(st.binary(max_size=200), st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["result", "key", "signature", "format"]), inner | st.just(record.FORMAT), max_size=4
    ),
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_any_file_is_a_record_or_an_error(text):
    """Whatever is in it, reading it says that it is none, or that it does not hold."""
    with suppress(SecretError):
        assert record.verify(text) is None


def test_a_record_is_kept_for_its_owner_alone(tmp_path):
    """Folder 0700, file 0600, and none is ever replaced."""
    old = os.umask(0)
    try:
        path = record.keep(tmp_path, "now.json", "text")
    finally:
        os.umask(old)
    assert path == tmp_path / "selftest" / "now.json"
    assert (path.read_text(), path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == ("text", 0o600, 0o700)
    with pytest.raises(FileExistsError):
        record.keep(tmp_path, "now.json", "other")


def test_a_link_in_the_state_folder_is_not_followed(tmp_path):
    """Whose state folder it is may not have root write elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "selftest").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotADirectoryError):
        record.keep(tmp_path, "now.json", "text")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_of_ones_own_is_replaced_and_closed(tmp_path):
    """--output writes 0600, also over a file that was open to all."""
    path = tmp_path / "out.json"
    path.write_text("a longer one")
    path.chmod(0o644)
    record.write(path, "text")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("text", 0o600)


def test_what_was_not_asked_is_told_with_its_reason_alone():
    """A check that was not made has no expectation and no observation."""
    check = record.Check("it", "dns", "", "", "not asked", "why")
    assert record.as_json(check) == {"check": "it", "how": "dns", "outcome": "not asked", "reason": "why"}
    assert record.counts([check, check]) == {"passed": 0, "failed": 0, "not asked": 2}
