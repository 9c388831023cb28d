"""A list in several formats is one list: the same names, and the same scopes where they can be said."""

from __future__ import annotations

import pytest

from filterproxy.core.model import Entry, ListFormat
from filterproxy.lists.formats import Columns, Document, Options, read
from filterproxy.lists.formats.detect import detect

NAMES = ("shop.example", "Deep.Name.example", "xn--bcher-kva.example", "with_underscore.example", "a.test", "b.test.")
CANONICAL = frozenset(name.lower().removesuffix(".") for name in NAMES)

TREE = {
    "domains": ("{name}", Options()),
    "wildcard": ("{name}", Options(subdomains=True)),
    "hosts": ("0.0.0.0 {name}", Options(subdomains=True)),
    "adblock": ("||{bare}^", Options()),
    "dnsmasq": ("address=/{name}/", Options()),
    "squidguard": ("{name}", Options()),
    "rpz": ("{bare} CNAME .\n*.{bare} CNAME .", Options()),
    "csv": ("1,{name}", Options(columns=Columns(domain="2"))),
}
EXACT = {
    "domains": ("{name}", Options(subdomains=False)),
    "wildcard": ("{name}", Options()),
    "hosts": ("127.0.0.1 {name}", Options()),
    "adblock": ("|{bare}^", Options()),
    "squidguard": ("{name}", Options(subdomains=False)),
    "rpz": ("{bare} CNAME *.", Options()),
    "csv": ("1,{name}", Options(columns=Columns(domain="2"), subdomains=False)),
}
BELOW = {
    "domains": ("*.{name}", Options()),
    "wildcard": ("*.{name}", Options()),
    "rpz": ("*.{bare} CNAME rpz-drop.", Options()),
    "csv": ("1,*.{name}", Options(columns=Columns(domain="2"))),
}
PAGES = {"urls": ("{url}", Options()), "csv": ('1,"{url}"', Options(columns=Columns(url="2")))}
URLS = ("pages.example/a", "https://pages.example/b?q=1,2", "pages.example/dir/")


def covered(form, text, options):
    """Return what a list covers as (value, scope); a name and what is below it together are its tree."""
    documents = [Document("list", text.encode().splitlines(keepends=True))]
    items = list(read(ListFormat(form), documents, options))
    assert [item for item in items if not isinstance(item, Entry) or item.action != "block"] == []
    found = {(item.value, item.scope.value) for item in items if isinstance(item, Entry)}
    whole = {value for value, _ in found if {(value, "exact"), (value, "below")} <= found}
    return {(value, scope) for value, scope in found if value not in whole} | {(value, "tree") for value in whole}


def written(line, texts):
    """Return a list of the texts, each as `line` writes it."""
    return "".join(line.format(name=text, url=text, bare=text.removesuffix(".")) + "\n" for text in texts)


@pytest.mark.parametrize(
    ("form", "line", "options", "scope"),
    [
        pytest.param(form, *said, scope, id=f"{form}-{scope}")
        for scope, forms in (("tree", TREE), ("exact", EXACT), ("below", BELOW))
        for form, said in forms.items()
    ],
)
def test_every_format_that_can_say_it_says_the_same(form, line, options, scope):
    """Names alone, with all below them, and what is below them alone."""
    assert covered(form, written(line, NAMES), options) == {(name, scope) for name in CANONICAL}


def test_pages_are_the_same_pages():
    """In a list of URLs as in a column of them."""
    said = [covered(form, written(line, URLS), options) for form, (line, options) in PAGES.items()]
    assert said[0] == said[1]
    assert len(said[0]) == len(URLS)


@pytest.mark.parametrize("form", ["adblock", "dnsmasq", "hosts", "rpz"])
@pytest.mark.samples
def test_a_published_list_is_one_list_in_all_its_formats(samples, form):
    """Of one publisher: told by its lines, the same names each; a hosts file says "and below" by its setting alone."""
    folder = samples / "one-list-many-formats"
    path = folder / f"{form}.txt"
    reference = covered("adblock", (folder / "adblock.txt").read_text(), Options())
    assert len(reference) == 24
    assert detect([Document(path.name, path.read_bytes().splitlines(keepends=True))]) is ListFormat(form)
    assert covered(form, path.read_text(), Options(subdomains=True if form == "hosts" else None)) == reference
    assert {value for value, _ in covered(form, path.read_text(), Options())} == {value for value, _ in reference}


@pytest.mark.parametrize("name", ["csv_8col.csv", "csv_9col.csv"])
@pytest.mark.samples
def test_a_published_table_is_read_by_its_header(samples, name):
    """Both generations of the layout, without a setting and with references; as the same dump in plain text."""
    text = (samples / "urlhaus" / name).read_text()
    said = covered("csv", text, Options(columns=Columns(url="url", reference="id")))
    assert said == covered("csv", text, Options())
    if name == "csv_9col.csv":
        assert said == covered("urls", (samples / "urlhaus" / "text.txt").read_text(), Options())


@pytest.mark.samples
def test_published_trees_are_read_without_a_bad_line(samples):
    """Each category, told by its files; a name of `domains` is a tree."""
    for folder in sorted(path for path in (samples / "ut1").iterdir() if path.is_dir()):
        files = sorted(folder.iterdir())
        documents = [Document(path.name, path.read_bytes().splitlines(keepends=True)) for path in files]
        assert detect(documents) is ListFormat.SQUIDGUARD
        items = list(read(ListFormat.SQUIDGUARD, documents, Options()))
        bad = [item for item in items if not isinstance(item, Entry)]
        assert len(bad) <= max(3, len(items) // 100), folder.name
