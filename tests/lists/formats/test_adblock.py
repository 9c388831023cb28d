from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import ListFormat
from filterproxy.lists.formats import PARSERS, Document, Options, placed, read
from filterproxy.lists.formats.lines import MAX_LINE
from tests.lists.formats.table import items, said, short

OURS = "tree a.example"
LOOKS = "not ours: a rule on the look of pages"
NOT_EVERY = "not ours: a modifier that is not for every host"
BAD_DENYALLOW = "bad: denyallow is hosts, parted by |"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("||a.example^", [OURS]),
        ("||A.Example^", [OURS]),
        ("||bücher.example^", ["tree xn--bcher-kva.example"]),
        ("||192.0.2.1^", ["exact 192.0.2.1"]),
        ("||zip^", ["bad: a whole top-level domain"]),
        ("|a.example^", ["exact a.example"]),
        ("||a.example", [r"host /(?:^|\.)a\.example/"]),
        ("a.example", ["exact a.example"]),
        ("bücher.example", ["exact xn--bcher-kva.example"]),
        ("_x.a.example", ["exact _x.a.example"]),
        ("192.0.2.1", ["exact 192.0.2.1"]),
        ("zip", ["bad: a whole top-level domain"]),
        ("ads.", [r"host /ads\./"]),
        ("-a.example", [r"host /-a\.example/"]),
        ("0.0.0.0 a.example b.example # why", ["exact a.example", "exact b.example"]),
        ("0.0.0.0 a.example  ## why", ["exact a.example"]),
        ("127.0.0.1 localhost", []),
        ("192.0.2.1 a.example", ["not ours: an address of its own: local data, which is not served"]),
        ("a.example b.example", ["bad: white space inside a rule"]),
        ("||a.example^ # why", [OURS]),
    ],
)
def test_what_a_rule_covers(line, expected):
    """A rule covers what its mask says, a name alone itself, and a line of a hosts file what it says there."""
    assert said("adblock", line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/^ads[0-9]+\\./", [r"host /^ads[0-9]+\./"]),
        ("/ADS/", ["host /ADS/"]),
        ("/^ads$|^b$/", ["host /^ads$|^b$/"]),
        ("/^ads$/$important", ["!host /^ads$/"]),
        ("/a\\$b/$important", ["!host /a\\$b/"]),
        ("@@/^ads$/", ["@@host /^ads$/"]),
        ("/(?=a)b/", ["not ours: an expression with a look-around or a back-reference, which re2 does not have"]),
        ("/(/", ["bad: not a regular expression"]),
        ("/.*/", ["bad: an expression that is found in anything"]),
        ("//", ["bad: an expression that is found in anything"]),
        ("/ads", ["not ours: a rule for URLs: only the host of a rule can be enforced"]),
    ],
)
def test_what_an_expression_covers(line, expected):
    """An expression stands between slashes, and a `$` in it begins no modifiers."""
    assert said("adblock", line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("@@||a.example^", [f"@@{OURS}"]),
        ("@@|a.example^", ["@@exact a.example"]),
        ("@@a.example", [r"@@host /a\.example/"]),
        ("a.example$important", [r"!host /a\.example/"]),
        ("||a.example^$important", [f"!{OURS}"]),
        ("@@||a.example^$important", [f"@@!{OURS}"]),
        ("||a.example^$denyallow=b.a.example", [f"{OURS} -b.a.example"]),
        ("||a.example^$important,denyallow=B.example|com|ü.test", [f"!{OURS} -b.example -com -xn--tda.test"]),
        ("/ads/$denyallow=b.example", ["host /ads/ -b.example"]),
        ("||a.example^$denyallow=", [BAD_DENYALLOW]),
        ("||a.example^$denyallow", [BAD_DENYALLOW]),
        ("||a.example^$denyallow=~b.example", [BAD_DENYALLOW]),
        ("||a.example^$denyallow=b.example|c/d", [BAD_DENYALLOW]),
        ("||a.example^$denyallow=b.*", ["not ours: a denyallow with a wildcard"]),
        ("@@||a.example^$denyallow=b.a.example", ["not ours: an exception with denyallow"]),
        ("*$denyallow=com", ["bad: a rule that covers everything"]),
        ("$important", ["bad: a rule that covers everything"]),
        *(
            (f"||a.example^${modifier}", [NOT_EVERY])
            for modifier in (
                "client=192.0.2.1", "client='Ann\\'s phone'", "ctag=device_tv", "dnstype=AAAA", "dnstype=~A", "all",
                "dnsrewrite=192.0.2.1", "dnsrewrite=NOERROR;HTTPS;1 b.example alpn=h3", "third-party", "document",
                "domain=b.example", "important,third-party", "denyallow=b.example,app=x", "unheard-of", "~important",
            )
        ),
    ],
)  # fmt: skip
def test_what_modifiers_change(line, expected):
    """Modifiers combine in any order; one that is not known makes the rule unenforceable, never wider."""
    assert said("adblock", line) == expected


@pytest.mark.parametrize("line", [
    "! why", "!", "# why", "#", "#why", "## why", "####", "#### why ####", "[Adblock Plus 2.0]", "[uBlock Origin]",
    "[AdGuard]", "!#if (adguard)", "! ||a.example^$badfilter", "",
])  # fmt: skip
def test_comments_say_nothing(line):
    """Comments and headers are passed over."""
    assert said("adblock", line) == []


@pytest.mark.parametrize("line", [
    "##.ad", "###ad", "##div.ad > a", "#@#.ad", "#?#div:has(a)", "#$#body { }", "#%#//scriptlet('x')",
    "a.example##.ad", "a.example,b.example##.ad", "a.example#@#.ad", "a.example#?#x", "a.example#@?#x",
    "a.example#$#x { }", "a.example#$?#x", "a.example#@$#x", "a.example#%#x", "a.example#@%#x",
    "a.example$$script[x]", "a.example$@$script[x]", "||a.example##.ad",
])  # fmt: skip
def test_rules_on_the_look_of_pages_are_not_ours(line):
    """Cosmetic rules are counted, and `##` before a selector is no comment."""
    assert said("adblock", line) == [LOOKS]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("||a.example^\n||a.example^$badfilter\n||b.example^", ["tree b.example"]),
        ("||a.example^$badfilter\n||a.example^", []),
        ("||a.example^$badfilter\n@@||a.example^\n||a.example^$important", [f"@@{OURS}", f"!{OURS}"]),
        ("||a.example^$important,badfilter\n||a.example^$important\n||a.example^", [OURS]),
        ("||a.example^$badfilter,denyallow=b.example,important\n||a.example^$important,denyallow=b.example", []),
        ("||a.example^$client=x\n||a.example^$client=x,badfilter\n||a.example^$client=y", [NOT_EVERY]),
        ("@@||a.example^\n@@||a.example^$badfilter", []),
        ("/ads$/\n/ads$/$badfilter", []),
        ("a.example\na.example$badfilter", []),
        ("0.0.0.0 a.example\n0.0.0.0 a.example$badfilter", ["exact a.example", "bad: not a domain name"]),
        ("||a.example^\n! ||a.example^$badfilter", [OURS]),
    ],
)
def test_badfilter_takes_back_the_same_rule(text, expected):
    """A rule is taken back by its text and its other modifiers in any order, wherever the two stand."""
    assert said("adblock", text) == expected


def test_lines_that_come_only_once():
    """What cannot be read twice is read once, and `badfilter` acts on what came before all the same."""
    lines = iter([b"||a.example^\n", b"||b.example^\n", b"||a.example^$badfilter\n"])
    assert [short(item) for item in PARSERS[ListFormat.ADBLOCK](lines, Options())] == ["tree b.example"]


def test_badfilter_acts_on_every_document_of_its_list():
    """A list may come as several files; each item tells its own."""
    texts = {"a.txt": b"||a.example^\n||b.example^\n", "b.txt": b"||a.example^$badfilter\n||c.example^\n"}
    documents = [Document(path, text.splitlines(keepends=True)) for path, text in texts.items()]
    found = [(path, short(item)) for path, item in placed(ListFormat.ADBLOCK, documents, Options())]
    assert found == [("a.txt", "tree b.example"), ("b.txt", "tree c.example")]
    assert [short(item) for item in read(ListFormat.ADBLOCK, documents, Options())] == [said for _, said in found]


def test_subdomains():
    """Names without a mask cover what is below them only where the list says so; masks say it themselves."""
    text = "a.example\n0.0.0.0 b.example\n|c.example^\n||d.example^\n"
    assert said("adblock", text, subdomains=True) == [
        "tree a.example",
        "tree b.example",
        "exact c.example",
        "tree d.example",
    ]
    assert said("adblock", text, subdomains=False)[3] == "tree d.example"


def test_lines_keep_their_numbers_and_a_confidential_list_its_text():
    """A report leads to the line, also past a byte order mark and comments, and shows no text that is confidential."""
    text = "\ufeff! Title\r\n\r\n# c\r\n||a,b^\r\n##.ad\r\n||a.example^\r\n"
    found = items("adblock", text, confidential=True)
    assert [item.line for item in found] == [4, 5, 6]
    assert [getattr(item, "text", None) for item in found] == ["", "", None]
    assert getattr(items("adblock", text)[0], "text", None) == "||a,b^"


@given(st.lists(st.one_of(
    st.binary(max_size=60),
    st.from_regex(rb"(@@)?[|]{0,2}[a-z.*^/#0-9 -]{0,12}(\$(important|badfilter|denyallow=[a-z.|]{0,8}|x)(,x)?)?"),
)))  # fmt: skip
def test_any_bytes_give_items(lines):
    """Whatever a source holds, each word gives an item at most, and nothing raises."""
    found = items("adblock", b"\n".join(lines))
    assert len(found) <= sum(len(line) for line in lines)


@pytest.mark.parametrize(
    "part", ["*", "^", "|", "a*", "a.", "$", "\\$", ",", "#", "#@", " #", "/", "ü.", "a-", "-", "a,", "a|", "[", "^*"]
)
def test_the_longest_lines_cost_little(part):
    """No line, however made, costs more than its length."""
    for head in ("", "||", "@@", "/", "||a.example^$", "||a.example^$denyallow=", "[a", "#", "a"):
        text = (head + part * MAX_LINE).encode()[: MAX_LINE - 10]
        before = time.process_time()
        items("adblock", text)
        items("adblock", text + b"$badfilter")
        assert time.process_time() - before < 1
