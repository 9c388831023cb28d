"""`filterproxy lists parse`: what a file or folder says entry by entry, and which lines say nothing that we enforce."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Printer, printable
from .quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filterproxy.core.model import BadLine, Entry, ListFormat, Unenforceable
    from filterproxy.lists.formats import Columns, Document


def parse(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file or folder, also packed.")],
    form: Annotated[
        str, typer.Option("--format", metavar="F", help="urls, domains, …; told from what is there where left out.")
    ] = "",
    columns: Annotated[
        str, typer.Option("--columns", metavar="WHAT=COLUMN,…", help="Of csv: url=3,reference=id by number or name.")
    ] = "",
    delimiter: Annotated[str, typer.Option("--delimiter", metavar="CHARACTER", help="Of csv.")] = ",",
    subdomains: Annotated[
        bool | None, typer.Option("--subdomains/--no-subdomains", help="Whether a name covers what is below it.")
    ] = None,
    root: Annotated[
        str, typer.Option("--root", metavar="page|site", help="What an entry for a front page means.")
    ] = "page",
) -> None:
    """Print a file's entries as JSON lines; bad and unenforceable lines go to standard error."""
    from filterproxy.core.model import Entry
    from filterproxy.errors import ConfigError
    from filterproxy.lists import formats, sources
    from filterproxy.settings.lists import List

    if root not in ("page", "site"):
        raise ConfigError(f"--root: {root} is neither page nor site")
    options = formats.Options(root == "site", subdomains, columns=_columns(columns, delimiter))
    named = _named(form) if form else None
    printer = Printer()
    # A name that is no UTF-8 is a file's all the same: it is not a configuration's text, and not checked as one.
    with sources.opened(List.model_construct(id="parse", source=str(file))) as fetched:
        wanted = named or _told(file, fetched.documents)
        try:
            for path, item in formats.placed(wanted, fetched.documents, options):
                if isinstance(item, Entry):
                    printer.line(entry_line(item))
                else:
                    place = file / path if len(fetched.documents) > 1 or file.is_dir() else file
                    print(f"{printable(str(place))}:{complaint(item)}", file=sys.stderr)
        finally:
            printer.flush()


def entry_line(entry: Entry) -> str:
    """Return an entry as a line of JSON: five keys always, and after them what else it has."""
    more = "".join(f', "{key}": {value}' for key, value in _more(entry))
    return (
        f'{{"kind": "{entry.kind}", "value": {quoted(entry.value)}, "scope": "{entry.scope}", '
        f'"action": "{entry.action}", "line": {entry.line}{more}}}'
    )


def complaint(item: BadLine | Unenforceable) -> str:
    """Return `LINE: REASON: 'text'` of a line that is no entry."""
    from filterproxy.core.model import Unenforceable

    what = "unenforceable: " if isinstance(item, Unenforceable) else ""
    return f"{item.line}: {what}{item.reason}" + (f": {item.text!r}" if item.text else "")


def _more(entry: Entry) -> Iterator[tuple[str, str]]:
    if entry.important:
        yield "important", "true"
    if entry.excludes:
        yield "excludes", _quoted_all(entry.excludes)
    if entry.reference:
        yield "reference", quoted(entry.reference)
    if entry.not_before is not None:
        yield "not_before", quoted(entry.not_before.isoformat())
    if entry.not_after is not None:
        yield "not_after", quoted(entry.not_after.isoformat())
    if entry.territories:
        yield "territories", _quoted_all(sorted(entry.territories))
    if entry.score != 1:
        yield "score", str(entry.score)


def _quoted_all(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"


def _named(form: str) -> ListFormat:
    from filterproxy.core.model import ListFormat
    from filterproxy.errors import ConfigError

    if form not in list(ListFormat):
        raise ConfigError(f"--format: {form} is none of {', '.join(ListFormat)}")
    return ListFormat(form)


def _told(file: Path, documents: Sequence[Document]) -> ListFormat:
    """Return the format that the documents show, saying so. Raises ConfigError where it is not clear."""
    from filterproxy.errors import ConfigError
    from filterproxy.lists.formats.detect import detect

    found = detect(documents)
    if found is None:
        raise ConfigError(f"{file}: its format cannot be told from its lines: name it with --format")
    print(f"{printable(str(file))}: read as {found}", file=sys.stderr)
    return found


def _columns(text: str, delimiter: str) -> Columns:
    from dataclasses import fields

    from filterproxy.errors import ConfigError
    from filterproxy.lists.formats import Columns

    known = {field.name for field in fields(Columns)} - {"delimiter"}
    mapped = dict(part.partition("=")[::2] for part in text.split(",") if part)
    if unknown := mapped.keys() - known:
        raise ConfigError(f"--columns: {min(unknown)} is none of {', '.join(sorted(known))}")
    delimiter = "\t" if delimiter == r"\t" else delimiter
    if len(delimiter) != 1:
        raise ConfigError("--delimiter: one character, or \\t")
    return Columns(**mapped, delimiter=delimiter)
