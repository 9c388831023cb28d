from __future__ import annotations

from tests.lists.formats.test_urls import said


def test_the_golden_list():
    """Every sort of line that a domain list may hold, and what it means."""
    text = (
        "# comment\nA.example.\n*.b.example\n.c.example\nd.example # why\ne.example\t# why\n"
        "bücher.example\n192.0.2.1\n::1\n"
        "f.example/path\nhttp://g.example\ng.example:80\n0.0.0.0 h.example\ntest\n"
        "*.192.0.2.1\na*.example\n||i.example^\n"
        'a.example,b.example\n"q.example"\nx.example$important\n=a.example\n~a.example\na.example;\n'
    )
    bad = "not a domain name"
    assert said("domains", text) == [
        ("domain", "a.example", "tree", ""),
        ("domain", "b.example", "below", ""),
        ("domain", "c.example", "tree", ""),
        ("domain", "d.example", "tree", ""),
        ("domain", "e.example", "tree", ""),
        ("domain", "xn--bcher-kva.example", "tree", ""),
        ("domain", "192.0.2.1", "exact", ""),
        ("domain", "[::1]", "exact", ""),
        bad, bad, bad, bad, "a whole top-level domain", "nothing is below an address", *[bad] * 8,
    ]  # fmt: skip


def test_without_subdomains_names_stand_alone():
    """`subdomains = false` makes entries exact; what says `*.` still means below."""
    assert said("domains", "a.example\n*.b.example\n", subdomains=False) == [
        ("domain", "a.example", "exact", ""),
        ("domain", "b.example", "below", ""),
    ]
