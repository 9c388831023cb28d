"""How the tables of formats are written: a line, and what it says, in short."""

from __future__ import annotations

from filterproxy.core.model import Entry, Item, ListFormat, Scope, Unenforceable
from filterproxy.lists.formats import PARSERS, Options


def items(form: str, text: str | bytes, **options: object) -> list[Item]:
    """Return what a format makes of a text."""
    data = text if isinstance(text, bytes) else text.encode()
    return list(PARSERS[ListFormat(form)](data.splitlines(keepends=True), Options(**options)))  # type: ignore[arg-type]


def short(item: Item) -> str:
    """Return an entry as `[@@][!]scope value [-excluded…]`, another line as `bad` or `not ours` with the reason."""
    if not isinstance(item, Entry):
        return f"{'not ours' if isinstance(item, Unenforceable) else 'bad'}: {item.reason}"
    allow, important = "@@" * (item.action == "allow"), "!" * item.important
    kind = "" if item.scope is not Scope.HOST else "/"
    return " ".join(
        [f"{allow}{important}{item.scope} {kind}{item.value}{kind}", *(f"-{each}" for each in item.excludes)]
    )


def said(form: str, text: str | bytes, **options: object) -> list[str]:
    """Return what a format makes of a text, in short."""
    return [short(item) for item in items(form, text, **options)]
