from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import Action, Entry, Scope
from filterproxy.core.names import is_address
from filterproxy.lists.formats.lines import Options
from filterproxy.lists.formats.masks import covered
from tests.lists.formats.table import short

ALL, TLD = "bad: a rule that covers everything", "bad: a whole top-level domain"
NO_NAME, NO_PART = "bad: not a domain name", "bad: not a host or a part of one"
OF_URLS = "not ours: a rule for URLs: only the host of a rule can be enforced"
BEHIND = "not ours: a rule for what follows a host"
PART = "not ours: a part of an internationalised label"
HOSTS = st.lists(st.sampled_from(["a", "b", "ab", "ba", "a-b", "aab"]), min_size=1, max_size=4).map(".".join)


def says(mask, action=Action.BLOCK):
    """Return what a mask covers, in short."""
    return short(covered(mask, 1, Options(), whole=mask, action=action))


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("||a.example^", "tree a.example"),
        ("||a.example|", "tree a.example"),
        ("||a.example^|", "tree a.example"),
        ("||a.example^*", "tree a.example"),
        ("||a.example^*|", "tree a.example"),
        ("||a.example/*", "tree a.example"),
        ("||bücher.example^", "tree xn--bcher-kva.example"),
        ("||xn--bcher-kva.example^", "tree xn--bcher-kva.example"),
        ("||192.0.2.1^", "exact 192.0.2.1"),
        ("||2001:DB8::1^", "exact [2001:db8::1]"),
        ("|[2001:db8::1]|", "exact [2001:db8::1]"),
        ("|a.example^", "exact a.example"),
        ("|a.example|", "exact a.example"),
        ("||*.a.example^", "below a.example"),
        ("*.a.example|", "below a.example"),
        (".a.example^", "below a.example"),
        ("||a.example", r"host /(?:^|\.)a\.example/"),
        ("||ads.*^", r"host /(?:^|\.)ads\./"),
        ("||ads*.example^", r"host /(?:^|\.)ads.*\.example$/"),
        ("|ads.", r"host /^ads\./"),
        ("a.example^", r"host /a\.example$/"),
        ("ADS|", TLD),
        ("*.a.example", r"host /\.a\.example/"),
        ("-ads-", "host /-ads-/"),
        ("ads**x*y", "host /ads.*x.*y/"),
        ("||*.bücher.example.*^", r"host /\.xn--bcher-kva\.example\./"),
        ("||bücher", PART),
        ("bücher.example^", PART),
        ("||büch*.example^", PART),
        ("||com^", TLD),
        ("|com^", TLD),
        ("*.com^", TLD),
        ("com^", TLD),
        ("*", ALL),
        ("||", ALL),
        ("^", ALL),
        ("||*^", ALL),
        ("|*|", ALL),
        ("ad", ALL),
        ("***", ALL),
        (".**", "bad: an expression that is found in anything"),
        ("|https://a.example^", OF_URLS),
        ("://a.example", OF_URLS),
        ("||a.example/b", OF_URLS),
        ("||a.example/", OF_URLS),
        ("||a.example:8080^", OF_URLS),
        ("||a.example^?b=", OF_URLS),
        ("||a.example^b", BEHIND),
        ("||a.example^^", BEHIND),
        ("||a.example.^", NO_NAME),
        ("||.a.example^", NO_NAME),
        ("||a,b.example^", NO_NAME),
        ("a|b", NO_PART),
        ("a+b", NO_PART),
        ("||a.example^ b", "bad: white space inside a rule"),
    ],
)
def test_what_a_mask_covers(mask, expected):
    """A mask is a domain entry where it means exactly one, else the expression that means the same."""
    assert says(mask) == expected


def test_an_exception_covers_what_a_block_would():
    """The action changes nothing else."""
    assert says("||a.example^", Action.ALLOW) == "@@tree a.example"
    assert says("-ads-", Action.ALLOW) == "@@host /-ads-/"


def covers(entry, host):
    """Tell whether an entry covers a host."""
    if entry.scope is Scope.HOST:
        return re.search(entry.value, host) is not None
    below = host.endswith(f".{entry.value}") and not is_address(entry.value)
    return below if entry.scope is Scope.BELOW else host == entry.value or (below and entry.scope is Scope.TREE)


def means(mask, host):
    """Tell whether a mask means a host, by the words of the format, a character at a time."""
    anchored, body = mask.startswith("|"), mask.removeprefix("|").removeprefix("|")
    ended, body = body.endswith("|"), body.removesuffix("|")
    expression = "".join({"*": ".*", "^": "(?:[^a-z0-9._-]|$)"}.get(char, re.escape(char)) for char in body)
    start = r"^(?:[a-z0-9._-]+\.)?" if mask.startswith("||") else "^" if anchored else ""
    return re.search(f"{start}{expression}{'$' if ended else ''}", host) is not None


@given(st.text("ab.*^|-", min_size=3, max_size=9), st.lists(HOSTS, min_size=20, max_size=20))
def test_an_entry_covers_exactly_what_its_mask_means(mask, hosts):
    """No entry is wider or narrower than its mask."""
    item = covered(mask, 1, Options(), whole=mask, action=Action.BLOCK)
    if isinstance(item, Entry):
        assert [host for host in hosts if covers(item, host) != means(mask, host)] == []
