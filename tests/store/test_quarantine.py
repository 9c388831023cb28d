"""Decisions on quarantine in SQLite. What both databases promise is tested in tests/contract."""

from __future__ import annotations

from filterproxy.core.quarantine import Choice


def test_a_note_is_sealed_in_the_file(store, path, now):
    """Why somebody decided as they did is nobody's to read who has the file alone; nor is it in a representation."""
    made = store.decide_quarantine("law", "0" * 32, Choice.KEEP, by="ann", note="order of the court", now=now, needed=2)
    assert made == tuple(store.quarantine_decisions())
    assert "order" not in repr(made)
    for file in path.parent.iterdir():
        assert b"order of the court" not in file.read_bytes()
