"""What the portal is handed."""

from __future__ import annotations


def test_the_key_stays_out_of_what_is_printed(world):
    """A traceback or a log line that prints the parts shows no key."""
    assert "mac_key" not in repr(world.parts)
