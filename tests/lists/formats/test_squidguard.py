from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.decide import decide
from filterproxy.core.model import Connection, Entry, ListFormat, Request, Unenforceable
from filterproxy.core.urls import canonical
from filterproxy.lists.formats import Document, Options, read
from filterproxy.lists.formats.detect import detect
from filterproxy.lists.formats.squidguard import MAX_CHANGES, parse, parse_tree, role
from tests.policies import NOW, build, table


def tree(**files):
    """Return documents of a tree: `urls__diff` stands for `some/urls.diff`."""
    return [
        Document(f"some/{name.replace('__', '.')}", text.encode().splitlines(keepends=True))
        for name, text in sorted(files.items())
    ]


def said(documents, **options):
    """Return what a tree says: values, or the reason of what is no entry."""
    return [
        item.value if isinstance(item, Entry) else item.reason
        for item in read(ListFormat.SQUIDGUARD, documents, Options(**options))
    ]


@pytest.mark.parametrize(
    ("url", "blocked"),
    [
        ("pages.example/gallery", True),
        ("pages.example/gallery?page=2", True),
        ("pages.example/gallery/", True),
        ("pages.example/gallery/1.html", True),
        ("www.pages.example/gallery/1.html", True),
        ("pages.example/gallery2", False),  # a segment boundary is one
        ("pages.example/", False),
        ("sub.pages.example/gallery", False),
        ("other.example/slashed/x", True),
        ("other.example/slashed", True),
        ("asked.example/find?q=1", True),
        ("asked.example/find?q=1&r=2", False),
        ("asked.example/find", False),
        ("bare.example/x/y", True),
        ("www.bare.example/x", True),
        ("front.example/", True),
        ("front.example/more", False),
    ],
)
def test_a_url_covers_its_directory_on_both_hosts(url, blocked):
    """A urls line is its page and everything below it, with and without `www.`, and nothing beside it."""
    lines = ["pages.example/gallery", "other.example/slashed/", "asked.example/find?q=1", "www.bare.example/x"]
    policy = build({table("tree", "squidguard"): [*lines, "front.example/"]})
    spelled = canonical(url)
    assert spelled is not None
    assert decide(Request("default", "GET", spelled), policy, NOW).blocked is blocked


def test_a_domain_covers_what_is_below_it():
    """And its neighbours not; `subdomains = false` leaves the name alone."""
    policy = build({table("tree", "squidguard"): ["a.example"]})
    assert decide(Connection("default", "www.a.example"), policy, NOW).blocked
    assert not decide(Connection("default", "nota.example"), policy, NOW).blocked
    (entry,) = parse([b"a.example"], Options(subdomains=False))
    assert isinstance(entry, Entry)
    assert entry.scope == "exact"


@pytest.mark.parametrize(
    ("base", "diff", "result"),
    [
        ("a.example\n", "+b.example\n", ["a.example", "b.example"]),
        ("a.example\nb.example\n", "-A.example.\n", ["b.example"]),
        ("a.example\n", "+a.example\n", ["a.example"]),  # a diff that is applied already
        ("a.example\n", "-b.example\n", ["a.example"]),
        ("a.example\n", "-a.example\n+a.example\n", ["a.example"]),
        ("a.example\n", "+b.example\n-b.example\n", ["a.example"]),
        ("a.example\na.example\n", "-a.example\n", []),
        ("a.example\n", "# why\n\nb.example\n", ["neither + nor - and a line", "a.example"]),
    ],
)
def test_a_diff_changes_the_file_beside_it(base, diff, result):
    """In the order of its lines; what it cannot change stays as it is."""
    assert said(tree(domains=base, domains__diff=diff)) == result


def test_a_diff_of_urls_takes_away_all_that_the_line_had_said():
    """However the line is spelled."""
    assert said(tree(urls="h.example/dir\nh.example/b\n", urls__diff="-http://h.example/dir/\n"))[0] == "h.example/b"


def test_expressions_change_as_they_are_written():
    """An expression is taken away by itself."""
    changed = tree(expressions="gadget[0-9]\ngizmo\n", expressions__diff="-gizmo\n+widget\n")
    assert said(changed) == ["gadget[0-9]", "widget"]


@pytest.mark.parametrize("packed", [".gz", ".zst", ".zstd"])
def test_a_file_that_is_packed_by_itself_is_what_it_is(packed):
    """A host in `urls` is its front page, packed or not; and so are changes those of the file beside them."""
    alone = [Document(f"urls{packed}", [b"a.example\n"])]
    assert said(alone) == ["a.example/", "www.a.example/"]
    assert detect(alone) is None
    files = [(f"domains{packed}", b"a.example\n"), ("domains.diff", b"+b.example\n"), ("urls", b"c.example/x?y\n")]
    documents = [Document(path, [line]) for path, line in [*files, (f"urls.diff{packed}", b"-c.example/x?y\n")]]
    assert said(documents) == ["a.example", "b.example"]


@pytest.mark.parametrize(
    ("expression", "meant"),
    [(r"\<ads", False), (r"ads\>", False), (r"\`ads", False), (r"a\\\<", False), (r"a\\<b", True), (r"\bads\b", True)],
)
def test_an_expression_never_means_another_than_its_own_library_reads(expression, meant):
    """Boundaries that re2 would read as plain characters are not ours to enforce."""
    (item,) = read(ListFormat.SQUIDGUARD, tree(expressions=f"{expression}\n"), Options())
    assert isinstance(item, Entry if meant else Unenforceable)


def test_a_tree_without_lists_says_so():
    """What holds nothing that we know is refused by its one bad line; a file alone is read line by line."""
    reason = "no domains, urls or expressions in this tree"
    assert said(tree(usage="black\n", README="read me\n")) == [reason]
    assert said(tree(domains__diff="+a.example\n")) == ["changes of a file that is not there", reason]
    assert said([Document("list.txt", [b"a.example\n"])]) == ["a.example"]
    assert said([]) == []


def test_each_item_tells_its_file():
    """Numbers of lines mean nothing without."""
    found = parse_tree(tree(domains="a.example\n", domains__diff="+b.example\n", urls="?\n"), Options())
    assert [path for path, _ in found] == ["some/domains", "some/domains.diff", "some/urls"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("domains", "domains"), ("adult/urls", "urls"), ("a/b/expressions.diff", "expressions"),
        ("adult/very_restrictive_expression", "expressions"), ("adult/usage", ""), ("domains.db", ""),
        ("README", ""), ("mydomains", ""),
    ],
)  # fmt: skip
def test_files_are_known_by_their_names(path, expected):
    """Everything else in a tree is a description."""
    assert role(path) == expected


def test_a_diff_of_millions_is_refused_before_it_fills_the_memory():
    """Then the file is not read either: with half of its changes it would say another thing."""
    diff = Document("domains.diff", (b"+a%d.example\n" % number for number in range(MAX_CHANGES + 5)))
    found = [item for _, item in parse_tree([Document("domains", [b"a.example\n"]), diff], Options())]
    assert [item.reason for item in found if not isinstance(item, Entry)] == [f"more than {MAX_CHANGES} changes"]
    assert len(found) == 1


ROLES = st.sampled_from(["domains", "domains.diff", "urls", "urls.diff", "expressions", "expressions.diff", "README"])


@given(st.lists(st.tuples(ROLES, st.lists(st.binary(max_size=40), max_size=4)), max_size=4), st.booleans())
def test_any_tree_of_bytes_is_items(files, site):
    """Whatever a tree holds, no exception, and four entries a line at most."""
    found = list(parse_tree([Document(path, lines) for path, lines in files], Options(root_is_site=site)))
    assert len(found) <= 1 + sum(1 + 4 * len(lines) for _, lines in files)
