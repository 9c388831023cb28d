"""A file of top sites: read whole or refused with the line that is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.names import host
from filterproxy.errors import ConfigError
from filterproxy.lists import top_sites
from filterproxy.lists.top_sites import TopSites


@pytest.fixture
def path(tmp_path):
    return tmp_path / "top.csv"


@pytest.mark.parametrize(
    "text",
    [
        "first.example\nb\u00fccher.test\n",
        "1,first.example\n2,b\u00fccher.test\n",
        "\ufeff# the most visited\r\n\r\n1 , FIRST.example.\r\n2,xn--bcher-kva.test",
    ],
)
def test_both_forms_are_read_in_one_spelling(path, text):
    """A name a line or `rank,name`, in any spelling, with comments; the order is the file's."""
    path.write_text(text)
    assert list(TopSites.read(path)) == ["first.example", "xn--bcher-kva.test"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no name"),
        (b"# nothing\n", "holds no name"),
        (b"1,a.example\nrank,b.example\n", ":2: neither"),
        (b"a.example\nb example\n", ":2: neither"),
        (b"a.example\n1,\n", ":2: neither"),
        (b"a.example\n\xff\n", ":2: not UTF-8"),
        (None, "No such file"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(path, content, said):
    """What is missing, empty or not understood is a ConfigError that names the key, the file and the line."""
    if content is not None:
        path.write_bytes(content)
    for read in (TopSites.read, top_sites.check):
        with pytest.raises(ConfigError, match=f"^operator.top_sites: .*{said}"):
            read(path)


def test_what_is_no_file_is_refused(tmp_path):
    """A folder or a device is not waited for."""
    with pytest.raises(ConfigError, match="not a file"):
        TopSites.read(tmp_path)


def test_more_names_than_are_kept_are_refused(path, monkeypatch):
    """A list that is far too long is not taken in part."""
    monkeypatch.setattr(top_sites, "MAX_SITES", 2)
    path.write_text("a.example\nb.example\n")
    assert len(TopSites.read(path)) == 2
    path.write_text("a.example\nb.example\nc.example\n")
    with pytest.raises(ConfigError, match="more than 2 names"):
        TopSites.read(path)


def test_names_and_what_is_above_them_are_found():
    """A site is found by its name alone, and the most visited one by any name above it."""
    sites = TopSites(["a.blogs.example", "b.blogs.example", "blogs.example", "192.0.2.1", "a.blogs.example"])
    assert len(sites) == 4
    assert "blogs.example" in sites
    assert "192.0.2.1" in sites
    assert "example" not in sites
    assert "www.blogs.example" not in sites
    assert 7 not in sites
    assert (sites.below("blogs.example"), sites.below("example")) == ("a.blogs.example", "a.blogs.example")
    assert sites.below("a.blogs.example") is sites.below("2.1") is sites.below("other.example") is None


def test_no_sites_are_sites_too():
    """Where no file is named, nothing is found."""
    assert (len(TopSites()), "a.example" in TopSites(), TopSites().below("example")) == (0, False, None)


HOSTS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join).map(host)


@given(st.lists(HOSTS), HOSTS)
def test_it_says_what_a_set_would_say(names, asked):
    """However many names there are, what is found is exactly what was read."""
    sites = TopSites(names)
    assert (asked in sites) is (asked in names)
    below = next((name for name in names if name.endswith(f".{asked}")), None)
    assert (sites.below(asked) is None) is (below is None)
    assert TopSites(names).digest == sites.digest
