"""What is on the disk of an override."""

from __future__ import annotations

from datetime import timedelta

from filterproxy.core.model import Entry, Kind, Listing, Scope


def test_no_word_of_an_override_is_on_the_disk(store, path, now):
    """Neither the address it spares nor why stands in the file."""
    entry = Entry(Kind.DOMAIN, "entry-word.example", Scope.TREE)
    row = store.add_override(
        Listing("own"), entry, by="Ann", reason="reason-word", reference="reference-word",
        expires_at=now + timedelta(days=1), now=now,
    )  # fmt: skip
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert row.id.encode() in content
    assert b"-word" not in content
