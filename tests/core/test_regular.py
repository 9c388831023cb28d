from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.regular import BEYOND_RE2, MAX_EXPRESSION, Rule, Rules, fault


@pytest.mark.parametrize(
    "expression", [r"(?:^|\.)ads[^.]*\.example$", "ads", r"^ads\d+\.", "(?i)ADS", r"[[:digit:]]{3}\.example"]
)
def test_an_expression_of_re2_can_be_used(expression):
    """What re2 has, a list may say."""
    assert fault(expression) is None


@pytest.mark.parametrize("expression", ["", ".", ".*", "^.*$", "^", "a*", "[^/]", r"\.|e"])
def test_what_is_found_in_anything_is_refused(expression):
    """An expression that says nothing would block everything."""
    assert fault(expression) == "an expression that is found in anything"


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("(", "not a regular expression"),
        ("(?<=a)b", BEYOND_RE2),
        (r"(a)\1", BEYOND_RE2),
        ("(a{900}){900}", "not a regular expression"),
        ("a" * (MAX_EXPRESSION + 1), f"an expression longer than {MAX_EXPRESSION} characters"),
        ("ümlaut", "an expression that is not ASCII: hosts and URLs are"),
    ],
)
def test_what_cannot_be_used_is_named(expression, reason):
    """Each reason is a sentence for a bad line."""
    assert fault(expression) == reason


def test_each_rule_is_found_where_its_expression_is():
    """Case makes no difference, and no rule hides another."""
    rules = Rules([Rule("^ADS"), Rule(r"\.example$"), Rule("none")])
    assert [rule.expression for rule in rules.find("ads.example")] == ["^ADS", r"\.example$"]
    assert rules.find("other.test") == ()


def test_many_rules_are_found_like_few():
    """Beyond what one automaton holds they are parted, and each is still found."""
    rules = Rules([Rule(rf"^part{number}\.") for number in range(3000)])
    assert len(rules) == 3000
    assert [rule.expression for rule in rules.find("part2999.example")] == [r"^part2999\."]


def test_a_rule_shows_nothing_of_itself():
    """An expression may be secret, and representations end up in logs."""
    assert "ads" not in repr(Rule("ads"))


@given(st.text(max_size=40))
def test_any_text_is_an_expression_or_has_a_fault(text):
    """What has no fault can be compiled and searched."""
    if fault(text) is None:
        Rules([Rule(text)]).find("www.some-host.example/path?query")
