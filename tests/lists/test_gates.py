from __future__ import annotations

import pytest

from filterproxy.core.bundle import Shares
from filterproxy.errors import SourceError
from filterproxy.lists import gates


@pytest.mark.parametrize(
    ("new", "previous", "refused"),
    [
        (Shares(), None, "no entry"),
        (Shares(), Shares(urls=3), "no entry"),
        (Shares(urls=101), None, "max_entries"),
        (Shares(urls=3, bad_lines=11), None, "bad lines"),
        (Shares(urls=3, bad_lines=3), None, None),
        (Shares(urls=100), Shares(urls=10), "10 times"),
        (Shares(urls=99), Shares(urls=10), None),
        (Shares(urls=40), Shares(urls=4), None),
        (Shares(urls=59), Shares(urls=100), "cut short"),
        (Shares(urls=60), Shares(urls=100), None),
        (Shares(urls=1), Shares(urls=40), None),
    ],
)
def test_what_is_empty_foreign_or_far_from_the_last_one_is_refused(new, previous, refused):
    """The reason stands in the error; small lists may change as a person edits them."""
    if refused is None:
        gates.check(new, previous, 100)
    else:
        with pytest.raises(SourceError, match=refused):
            gates.check(new, previous, 100)
