"""Lists of names with wildcards, a name a line, as DNS means them: `*.name` is what is below, `name` is itself alone.

Where the list says `subdomains = true`, as several publishers mean it, both cover the name and all below it; `.name`
always does. A `*` anywhere else stands for any characters of one label (a label that is only `*` for at least one
character), and the whole host must match. ` # comment` ends a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from filterproxy.core.model import BadLine, Entry, Item, Scope

from .lines import Options, numbered
from .names import label, named, searched, uncommented

_TREE = r"(?:^|\.)"


def parse(lines: Iterable[bytes], options: Options) -> Iterator[Item]:
    """Yield what each line says."""
    for item in numbered(lines, options):
        yield item if isinstance(item, BadLine) else _entry(*item, options)


def _entry(number: int, text: str, options: Options) -> Item:
    bare = uncommented(text)
    below, tree = bare.startswith("*."), bare.startswith(".")
    name = bare[2 if below else 1 if tree else 0 :]
    if "*" in name:
        head = _TREE if tree or options.subdomains else r"\." if below else "^"
        return _pattern(name, head, number, text, options)
    if not below:
        return named(name, Scope.TREE if tree or options.subdomains else Scope.EXACT, number, options, whole=text)
    item = named(name, Scope.BELOW, number, options, whole=text)
    if options.subdomains and isinstance(item, Entry):
        return named(name, Scope.TREE, number, options, whole=text)
    return item


def _pattern(name: str, head: str, number: int, text: str, options: Options) -> Item:
    labels = name.split(".")
    if set(labels[:-1]) <= {"*"}:
        return options.bad(number, "every name there is, or a whole top-level domain", text)
    found = []
    for each in labels:
        if not each.isascii() and "*" in each:
            return options.unenforceable(number, "a wildcard inside an internationalised label", text)
        expression = _expression(each)
        if expression is None:
            return options.bad(number, "not a domain name", text)
        found.append(expression)
    return searched(f"{head}{r'\.'.join(found)}$", Scope.HOST, number, options, whole=text)


def _expression(text: str) -> str | None:
    """Return the expression for a label, or None where `text` is none."""
    if text == "*":
        return "[^.]+"
    parts = [label(part) for part in text.split("*")]
    if not text or "**" in text or None in parts:
        return None
    return "[^.]*".join(part.replace(".", r"\.") for part in parts if part is not None)
