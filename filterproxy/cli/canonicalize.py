"""`filterproxy canonicalize`: one canonical form per URL, and the expressions under which it may be listed."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Json, Printer, targets
from .quoting import quoted, quoted_or_null

_NO_URL = '"canonical": null, "host": null, "path": null, "query": null, "expressions": null'


def canonicalize(
    url: Annotated[list[str], typer.Argument(help="URLs; - reads lines from standard input.")],
    as_json: Json = False,
) -> None:
    """Print the canonical form of URLs; exit 2 where one has none."""
    from filterproxy.core.urls import canonical

    printer, invalid = Printer(), False
    try:
        for target in targets(url, printer.flush):
            found = canonical(target)
            invalid = invalid or found is None
            if not as_json:
                printer.line("-" if found is None else found.text)
            elif found is None:
                printer.line(f'{{"input": {quoted(target)}, {_NO_URL}}}')
            else:
                expressions = ", ".join(map(quoted, found.expressions))
                printer.line(
                    f'{{"input": {quoted(target)}, "canonical": {quoted(found.text)}, "host": {quoted(found.host)}, '
                    f'"path": {quoted(found.path)}, "query": {quoted_or_null(found.query)}, '
                    f'"expressions": [{expressions}]}}'
                )
    finally:
        printer.flush()
    if invalid:
        raise typer.Exit(2)
