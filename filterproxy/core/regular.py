"""Regular expressions over hosts and URLs: which of many are found in a text, each behind its literals (re2).

re2 takes time linear in the text whatever the expression. Every text is ASCII in lower case; case never matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import re2

from .membership import ALLOWS, NO_FACTS, Facts

MAX_EXPRESSION: Final = 1000
"""Characters of an expression at most."""
MAX_URL_TEXT: Final = 16_384
"""Characters of a URL that are searched at most."""
_MEMORY: Final = 1 << 20
"""Bytes that one compiled expression may take."""
_TOGETHER: Final = 500
"""Expressions whose literals are searched together: more, and their automaton outgrows re2's own bound."""
# What an expression must not be found in: it would be found everywhere.
_ANYTHING: Final = ("q.example", "www.q3-x.test", "0.q", "q.example/", "zz.test/x?y=z")


BEYOND_RE2: Final = "an expression with a look-around or a back-reference, which re2 does not have"
_BEYOND: Final = re.compile(r"\(\?(?:[=!>]|<[=!])|\\[1-9]")


class Rule(NamedTuple):
    """An expression of a list, what it does (codes of membership) and its facts."""

    expression: str
    code: int = 0
    facts: Facts = NO_FACTS

    def __repr__(self) -> str:
        """Hide the expression."""
        return "Rule(…)"


def fault(expression: str) -> str | None:
    """Return why an expression cannot be used, in words for a bad line, or None where it can be."""
    if len(expression) > MAX_EXPRESSION:
        return f"an expression longer than {MAX_EXPRESSION} characters"
    if not expression.isascii():
        return "an expression that is not ASCII: hosts and URLs are"
    try:
        compiled = re2.compile(expression, _options())
    except re2.error:
        return BEYOND_RE2 if _BEYOND.search(expression) else "not a regular expression"
    if compiled.search("") or all(compiled.search(text) for text in _ANYTHING):
        return "an expression that is found in anything"
    return None


class Rules:
    """An immutable set of rules."""

    __slots__ = ("_filters", "_rules")

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Compile the rules. Raises ValueError for an expression that `fault` finds fault with."""
        self._rules = tuple(rules)
        together = [self._rules[at : at + _TOGETHER] for at in range(0, len(self._rules), _TOGETHER)]
        self._filters = [pair for part in together for pair in _filters(part)]

    def __len__(self) -> int:
        """Return the number of rules."""
        return len(self._rules)

    def find(self, text: str) -> tuple[Rule, ...]:
        """Return the rules whose expression is found in `text` (ASCII, lower case)."""
        found: list[Rule] = []
        for literals, rules in self._filters:
            found += [rules[at] for at in literals.Match(text) or ()]
        return tuple(found)

    @property
    def sparing(self) -> bool:
        """Whether any rule is an exception."""
        return any(rule.code & ALLOWS for rule in self._rules)


NO_RULES: Final = Rules(())


def _filters(rules: Sequence[Rule]) -> list[tuple[Any, Sequence[Rule]]]:
    """Compile rules together, or in halves where they do not fit."""
    literals, options = re2.Filter(), _options()
    try:
        for rule in rules:
            literals.Add(rule.expression, options)
        literals.Compile()
    except re2.error:
        if len(rules) == 1:
            raise ValueError("an expression that re2 does not take") from None
        middle = len(rules) // 2
        return _filters(rules[:middle]) + _filters(rules[middle:])
    return [(literals, rules)]


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False  # or re2 prints the expression
    options.max_mem = _MEMORY
    options.case_sensitive = False
    return options
