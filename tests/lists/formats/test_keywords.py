from __future__ import annotations

from filterproxy.core.model import Entry, ListFormat
from filterproxy.lists.formats import PARSERS, Options
from tests.lists.formats.test_urls import said


def test_the_golden_list():
    """Term, match and score, with their defaults; what would act too widely is a bad line."""
    text = (
        "# comment\nGadget\ngizmo,substring\ntwo-words , query-term , 5\n\"a, b c\",word\n"
        "abc,substring\nx\n!!\ngizmo,anywhere\ngizmo,word,0\ngizmo,word,x\ngizmo,word,1,2\n\"open\n"
    )  # fmt: skip
    assert said("keywords", text) == [
        ("keyword", "gadget", "word", ""),
        ("keyword", "gizmo", "substring", ""),
        ("keyword", "two words", "query-term", ""),
        ("keyword", "a b c", "word", ""),
        "a substring has at least 4 characters",
        "a term has 2 to 200 letters or digits",
        "a term has 2 to 200 letters or digits",
        "match is word, substring or query-term",
        "score is a number from 1 to 1000",
        "score is a number from 1 to 1000",
        "more than term, match and score",
        "not comma-separated",
    ]


def test_scores_are_kept():
    """A term weighs what its line says."""
    found = list(PARSERS[ListFormat.KEYWORDS]([b"gadget,word,7\n", b"gizmo\n"], Options()))
    assert [item.score for item in found if isinstance(item, Entry)] == [7, 1]
