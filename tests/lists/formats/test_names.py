from __future__ import annotations

import pytest

from filterproxy.core.model import Action, BadLine, Entry, Kind, Scope, Unenforceable
from filterproxy.lists.formats.lines import Options
from filterproxy.lists.formats.names import label, named, nowhere, searched, uncommented


@pytest.mark.parametrize(
    ("text", "scope", "expected"),
    [
        ("A.Example", Scope.TREE, ("a.example", Scope.TREE)),
        ("bücher.example.", Scope.BELOW, ("xn--bcher-kva.example", Scope.BELOW)),
        ("192.0.2.1", Scope.TREE, ("192.0.2.1", Scope.EXACT)),
        ("::1", Scope.EXACT, ("[::1]", Scope.EXACT)),
        ("192.0.2.1", Scope.BELOW, "nothing is below an address"),
        ("zip", Scope.TREE, "a whole top-level domain"),
        ("a..example", Scope.TREE, "not a domain name"),
        ("a,b.example", Scope.TREE, "not a domain name"),
        ("a*.example", Scope.TREE, "not a domain name"),
    ],
)
def test_a_name_becomes_its_entry(text, scope, expected):
    """A name has one spelling, an address nothing below it, and no name is a whole top-level domain."""
    item = named(text, scope, 7, Options(), action=Action.ALLOW)
    assert item.line == 7
    if isinstance(item, Entry):
        assert (item.kind, item.action) == (Kind.DOMAIN, Action.ALLOW)
        assert (item.value, item.scope) == expected
    else:
        assert (item.reason, item.text) == (expected, text)


@pytest.mark.parametrize(
    ("expression", "sort"),
    [
        (r"^ads\d+\.", Entry),
        ("(?=a)b", Unenforceable),
        (r"(a)\1", Unenforceable),
        (".*", BadLine),
        ("(", BadLine),
        ("ü", BadLine),
        ("a" * 1001, BadLine),
    ],
)
def test_an_expression_is_one_of_re2_or_none(expression, sort):
    """What re2 lacks cannot be enforced; what is no expression, or is found in anything, is a bad line."""
    assert type(searched(expression, Scope.HOST, 1, Options(), whole=expression)) is sort


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        *((text, True) for text in ("0.0.0.0", "127.0.0.1", "127.8.9.1", "0", "0x7f.1", "127.1")),
        *((text, True) for text in ("::", "::1", "0:0:0:0:0:0:0:0", "[::]", "::ffff:127.0.0.1", "::ffff:0.0.0.0")),
        *((text, False) for text in ("192.0.2.1", "0.0.0.1", "::2", "fe80::1%lo0", "::ffff:192.0.2.1")),
        *((text, None) for text in ("", "a.example", "1.2.3.4.5", "::g", "%", "127.0.0.1/8")),
    ],
)  # fmt: skip
def test_an_address_leads_nowhere_however_it_is_spelled(address, expected):
    """Unspecified and loopback addresses are known in every spelling, and nothing else is taken for one."""
    assert nowhere(address) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ADS", "ads"), ("", ""), ("a-", "a-"), ("bücher", "xn--bcher-kva"), ("１９２", "192"), ("a.b", None),
     ("a+", None),      ("ü/", None)],
)  # fmt: skip
def test_a_label_has_one_spelling(text, expected):
    """A label is lower-case and in punycode, never an address, and holds nothing that a host does not."""
    assert label(text) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [("a.example # b", "a.example"), ("a.example\t# b # c", "a.example"), ("a.example#b", "a.example#b"), ("a", "a")],
)
def test_a_comment_follows_white_space(line, expected):
    """A comment ends a line where white space stands before it."""
    assert uncommented(line) == expected
