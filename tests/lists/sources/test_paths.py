from __future__ import annotations

import pytest

from filterproxy.errors import SourceError
from filterproxy.lists.sources import paths


@pytest.mark.parametrize(("path", "found"), [
    ("ads/domains", "ads/domains"),
    ("./ads//domains/", "ads/domains"),
    ("./", ""),
    ("a..b/c", "a..b/c"),
])  # fmt: skip
def test_a_plain_path_has_one_spelling(path, found):
    """What means the same folder is spelled the same."""
    assert paths.plain(path) == found


@pytest.mark.parametrize(
    "path", ["/etc/x", "..", "a/../b", "../x", "a\nb", "a\\..\\b", "a" * 1025, "\x1b[2J", "a\udc80"]
)
def test_an_odd_path_is_refused(path):
    """Nothing that leads elsewhere, and nothing that a log line could not show."""
    with pytest.raises(SourceError, match="odd path"):
        paths.plain(path)
    with pytest.raises(SourceError, match="^within: "):
        paths.folder(path)


@pytest.mark.parametrize(("path", "within", "found"), [
    ("ads/domains", "", "ads/domains"),
    ("ads/domains", "ads", "domains"),
    ("ads/ads/domains", "ads", "ads/domains"),
    ("x/ads/domains", "ads", None),
    ("ads2/domains", "ads", None),
    ("ads", "ads", None),
    (".git/config", "", None),
    ("ads/._domains", "ads", None),
    (".lists/ads", ".lists", "ads"),
])  # fmt: skip
def test_a_folder_holds_what_is_below_it_and_not_hidden(path, within, found):
    """Neighbours with longer names stay outside; what is hidden counts only where it was asked for by name."""
    assert paths.below(path, within) == found
