"""`filterproxy lists dry-run`: how often each keyword would act on a file of URLs, before a list takes force."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO
from urllib.parse import quote_from_bytes

import typer

from .options import DEFAULT_CONFIG, Config, Json, printable

if TYPE_CHECKING:
    from filterproxy.core.model import Item
    from filterproxy.lists.rehearsal import Rehearsal, Tally

_LINE = 65_536
"""Bytes of a line at most; what is longer is no URL."""
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def dry_run(
    files: Annotated[
        list[str], typer.Argument(metavar="[KEYWORDS_FILE] URLS_FILE", help="URLs one a line; - is standard input.")
    ],
    list_id: Annotated[str, typer.Option("--list", metavar="ID", help="Rehearse this list of the configuration.")] = "",
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
    top: Annotated[int, typer.Option(min=0, help="Show so many terms, those that act most often; 0: all.")] = 0,
) -> None:
    """Say of each term of a keyword list on how many URLs it would act: on which hosts, in which longer words.

    With --list the source of a configured keyword list is read in the place of KEYWORDS_FILE. Nothing takes force.
    """
    from filterproxy.lists.rehearsal import Rehearsal

    if len(files) != (1 if list_id else 2):
        raise typer.BadParameter("name KEYWORDS_FILE and URLS_FILE, or --list ID and URLS_FILE", param_hint="FILES")
    secret = False
    if list_id:
        secret, said = _configured(list_id, config)
    else:
        said = _from_file(Path(files[0]))
    with _opened(files[-1]) as stream:
        rehearsal, begun = Rehearsal(_reported(said)), time.perf_counter()
        for line in _lines(stream):
            rehearsal.add(line)
    seconds = time.perf_counter() - begun
    ranked = rehearsal.ranked()[: top or None]
    if as_json:
        _print_json(rehearsal, ranked, secret=secret)
    else:
        _print_table(rehearsal, ranked, secret=secret)
        speed = (rehearsal.urls + rehearsal.no_urls) / seconds if seconds else 0
        print(f"{speed:,.0f} lines a second")


def _configured(list_id: str, config: Path) -> tuple[bool, list[Item]]:
    """Return whether a list is confidential, and what its source says. Raises ConfigError, SourceError."""
    from filterproxy.core.model import ListFormat
    from filterproxy.errors import ConfigError
    from filterproxy.lists import formats, sources
    from filterproxy.lists.reading import options_of
    from filterproxy.settings import load

    table = next((table for table in load(config).lists if table.id == list_id), None)
    if table is None:
        raise ConfigError(f"--list: there is no list {list_id}")
    if table.format is not ListFormat.KEYWORDS:
        raise ConfigError(f"--list: {list_id} is no keyword list")
    with sources.opened(table) as fetched:
        return table.confidential, list(formats.read(ListFormat.KEYWORDS, fetched.documents, options_of(table)))


def _from_file(path: Path) -> list[Item]:
    from filterproxy.core.model import ListFormat
    from filterproxy.lists import formats, sources

    return list(formats.PARSERS[ListFormat.KEYWORDS](sources.lines(path), formats.Options()))


def _reported(items: list[Item]) -> Iterator[Any]:
    """Pass on the entries; what is none goes to standard error."""
    from filterproxy.core.model import Entry

    for item in items:
        if isinstance(item, Entry):
            yield item
        else:
            print(f"line {item.line}: {item.reason}" + (f": {item.text!r}" if item.text else ""), file=sys.stderr)


def _opened(name: str) -> Any:
    from filterproxy.errors import SourceError

    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except OSError as exc:
        raise SourceError(f"{name}: {exc.strerror}") from exc


def _lines(stream: BinaryIO) -> Iterator[str]:
    """Yield the lines that say something; of one that is too long, nothing that could be a URL."""
    while raw := stream.readline(_LINE):
        whole = raw.endswith(b"\n") or len(raw) < _LINE
        while not whole:
            rest = stream.readline(_LINE)
            whole = rest.endswith(b"\n") or len(rest) < _LINE
            raw = b"http://"
        if raw := raw.strip():
            yield _text(raw)


def _text(raw: bytes) -> str:
    """Return a line as text; where it is no UTF-8, its bytes escaped, as the proxy takes them."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return quote_from_bytes(raw, safe=_PRINTABLE)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.4g} %" if whole else "-"


def _print_json(rehearsal: Rehearsal, ranked: list[Tally], *, secret: bool) -> None:
    import json

    from filterproxy.lists.rehearsal import THRESHOLDS, WORDS

    for tally in ranked:
        print(json.dumps({
            "term": None if secret else tally.term.text,
            "match": tally.term.scope.value,
            "score": tally.term.score,
            "line": tally.line,
            "urls": tally.urls,
            "share": tally.urls / rehearsal.urls if rehearsal.urls else 0.0,
            "hosts": len(tally.hosts),
            "more_hosts": tally.more_hosts,
            "inside_longer_words": tally.inside,
            "words": {} if secret else dict(tally.words.most_common(WORDS)),
            "examples": [] if secret else tally.examples,
        }))  # fmt: skip
    print(json.dumps({
        "urls": rehearsal.urls,
        "not_urls": rehearsal.no_urls,
        "acted_on": rehearsal.acted_on,
        "by_score": {str(score): rehearsal.from_score(score) for score in THRESHOLDS},
    }))  # fmt: skip


def _print_table(rehearsal: Rehearsal, ranked: list[Tally], *, secret: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("line", "term", "match", "score", "URLs", "share", "hosts"):
        table.add_column(column)
    for tally in ranked:
        table.add_row(
            str(tally.line), "-" if secret else tally.term.text, tally.term.scope.value, str(tally.term.score),
            str(tally.urls), _share(tally.urls, rehearsal.urls),
            f"{len(tally.hosts)}{' or more' if tally.more_hosts else ''}",
        )  # fmt: skip
    Console().print(table, markup=False)
    for tally in () if secret else ranked:
        for example in tally.examples:
            print(f"{tally.term.text}: {printable(example)}")
    for tally in ranked:
        if tally.inside:
            print(_warning(tally, secret=secret))
    _print_totals(rehearsal)


def _warning(tally: Tally, *, secret: bool) -> str:
    from filterproxy.lists.rehearsal import WORDS

    said = f"acts inside longer words on {tally.inside} URLs"
    if secret:
        return f"warning: line {tally.line} {said}"
    words = ", ".join(f"{word} ({number})" for word, number in tally.words.most_common(WORDS))
    return f"warning: {tally.term.text} (line {tally.line}) {said}: {words}"


def _print_totals(rehearsal: Rehearsal) -> None:
    from filterproxy.lists.rehearsal import THRESHOLDS

    print(f"{rehearsal.urls} URLs; {rehearsal.no_urls} lines that are none")
    print(f"acted on by any term: {rehearsal.acted_on} ({_share(rehearsal.acted_on, rehearsal.urls)})")
    for score in THRESHOLDS[1:]:
        if number := rehearsal.from_score(score):
            print(f"  terms that weigh {score} or more together: {number} ({_share(number, rehearsal.urls)})")
