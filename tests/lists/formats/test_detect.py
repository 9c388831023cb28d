from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import ListFormat
from filterproxy.lists.formats import Document
from filterproxy.lists.formats.detect import SAMPLE, detect
from tests.lists.formats.test_golden import documents, sources


def told(text, path="list.txt"):
    """Return the format of a single text."""
    return detect([Document(path, text.encode().splitlines(keepends=True))])


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("# names\na.example\nb.example # why\nbücher.example\n192.0.2.1\n", "domains"),
        ("*.a.example\n*.b.example\n", "wildcard"),
        ("*.a.example\nb.example\n", "wildcard"),
        ("a.example\nb.example/page\nhttps://c.example/?q\n", "urls"),
        ("# hosts\n0.0.0.0 a.example\n127.0.0.1\tlocalhost\n:: b.example c.example # x\n", "hosts"),
        ("##########\n# boxed #\n##########\n0.0.0.0 a.example\n", "hosts"),
        ("||a.example^\n@@||b.a.example^\n||c.example^$important\n", "adblock"),
        ("[Adblock Plus]\n! Title: x\na.example\n", "adblock"),
        ("! Title: x\n||a.example^\n/^ads[0-9]/\nplain.example\n", "adblock"),
        ("local=/a.example/\naddress=/b.example/#\n", "dnsmasq"),
        ("$TTL 300\n@ SOA a. b. (1\n 2 3 4\n 5)\n NS localhost.\n; c\na.example CNAME .\n", "rpz"),
        ("a.example CNAME .\n*.a.example 60 IN CNAME rpz-drop. ; c\n", "rpz"),
        ("a.example\n" * 30 + "what is this\n", "domains"),
    ],
)
def test_a_clear_list_is_told(text, form):
    """Lists of one shape have one format, comments and a few bad lines beside."""
    assert told(text) is ListFormat(form)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# comments\n\n",
        "gadget\ngizmo\n",
        "gadget,word,3\ngizmo,substring\n",
        "id,url\n1,http://a.example/\n",
        "0123456789abcdef0123456789abcdef\n" * 3,
        "a.example\n||b.example^\nc.example\n",  # names: with what is below, or alone
        "a.example\n0.0.0.0 b.example\n",
        "*.a.example\nb.example/page\n",
        "local=/a.example/\n||b.example^\n",
        "192.0.2.1:80\n[::1]:80\n",
        "24 of the names\n",
        "what is this\n" + "a.example\n" * 30,
        "a.example\nsome words here\nb.example\n",
        "$TTL 300\nwhat is this\n",
        "url\n" + "http://a.example/\n" * 30,  # a column
        "! Title: x\na.example\nb.example\n",  # AdBlock's comments, and names that may stand alone
        "! Title: x\n*.a.example\n",
        "<!DOCTYPE html>\n<html>\n<body>not found</body>\n",
    ],
)
def test_what_is_not_clear_is_not_guessed(text):
    """A wrong guess would change what entries cover, so the configuration has to say."""
    assert told(text) is None


def test_trees_are_told_by_their_names():
    """A `urls` file alone may be a list of pages as well."""
    lines = [b"a.example/x\n"]
    assert detect([Document("some/urls", lines), Document("some/usage", [b"black\n"])]) is ListFormat.SQUIDGUARD
    assert detect([Document("some/domains", [b"a.example\n"]), Document("some/urls", lines)]) is ListFormat.SQUIDGUARD
    assert detect([Document("urls", lines)]) is None
    assert detect([Document("domains", [b"a.example\n"])]) is ListFormat.DOMAINS


def test_documents_that_differ_have_no_format():
    """A folder of several files is of one format or of none."""
    names, pages = Document("a.txt", [b"a.example\n"]), Document("b.txt", [b"a.example/x\n"])
    assert detect([names, names]) is ListFormat.DOMAINS
    assert detect([names, pages]) is None
    assert detect([]) is None


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.stem)
def test_no_golden_list_is_taken_for_another_format(path):
    """Full of oddities as they are: told or not, never mistaken."""
    form = ListFormat(path.stem.partition("-")[0])
    assert detect(documents(path)) in (None, form)


def test_only_the_head_is_read():
    """Two hundred lines tell; millions behind them are not waited for."""
    read = []

    def lines():
        for number in range(10 * SAMPLE):
            read.append(number)
            yield b"a.example\n"

    assert detect([Document("list", lines())]) is ListFormat.DOMAINS
    assert len(read) <= SAMPLE + 1


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_have_a_format_or_none(lines):
    """Whatever a source holds, no exception; and never what is only ever named."""
    assert detect([Document("list", lines)]) not in {ListFormat.CSV, ListFormat.KEYWORDS, ListFormat.HASHES}
