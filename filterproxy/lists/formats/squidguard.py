"""squidGuard trees, as the Université Toulouse 1 publishes them: `domains`, `urls` and `expressions` of a category.

A domain covers itself and what is below it. A URL covers its page and everything below it as a directory, whether or
not it ends in `/`, with and without `www.`; with a query it is that exact URL, and `name/` alone the front page, as
everywhere. An expression is searched in the URL less its scheme, in lower case (squidGuard's `furl`).

`domains.diff` and its like change the file beside them, line by line: `+x` adds, `-x` takes away. To take away what is
not there, or to add what is, changes nothing: trees come with diffs that are applied already, and squidGuard does the
same. A diff alone changes nothing either, and is a bad line. All other files of a tree are descriptions. A file may
be packed by itself: `urls.gz` is `urls`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from filterproxy.core.model import BadLine, Entry, Item, Kind, Scope
from filterproxy.core.names import is_address
from filterproxy.core.urls import MAX_DIRECTORIES, Url

from .lines import Document, Options, numbered
from .names import named, searched
from .urls import entry_of, web_address

MAX_CHANGES = 500_000
"""Changes of one diff at most; a tree with more of them publishes its files whole."""

_PACKED = (".gz", ".zst", ".zstd")
_BEYOND_RE2 = re.compile(r"(?<!\\)(?:\\\\)*\\[<>`']")
"""Where a word or a text begins or ends, as only squidGuard's library says it; for re2 these are plain characters."""

Said = tuple[Item, ...]
Reader = Callable[[int, str, Options], Said]


def parse(lines: Iterable[bytes], options: Options) -> Iterator[Item]:
    """Yield what the lines of a single file say: with a `/` a URL, else a domain."""
    for item in numbered(lines, options):
        if isinstance(item, BadLine):
            yield item
        else:
            yield from (_url if "/" in item[1] else _domain)(*item, options)


def parse_tree(documents: Sequence[Document], options: Options) -> Iterator[tuple[str, Item]]:
    """Yield what the files of a tree say, each item with the path of its file."""
    diffs = {_unpacked(document.path): document for document in documents if _is_diff(document)}
    bases = [document for document in documents if role(document.path) and not _is_diff(document)]
    changed = set()
    for document in bases:
        changed.add(changes := f"{_unpacked(document.path)}.diff")
        diff, reader = diffs.get(changes), _READERS[role(document.path)]
        yield from _whole(document, reader, options) if diff is None else _changed(document, diff, reader, options)
    for changes, diff in diffs.items():
        if role(changes) and changes not in changed:
            yield diff.path, options.bad(1, "changes of a file that is not there", "")
    if len(documents) == 1 and not bases and not diffs:
        yield from ((documents[0].path, item) for item in parse(documents[0].lines, options))
    elif documents and not bases:
        yield documents[0].path, options.bad(1, "no domains, urls or expressions in this tree", "")


def role(path: str) -> str:
    """Return what a file of a tree holds by its name (`domains`, `urls`, `expressions`), or an empty text."""
    name = PurePosixPath(_unpacked(path)).name.removesuffix(".diff")
    name = {"very_restrictive_expression": "expressions", "expression": "expressions"}.get(name, name)
    return name if name in _READERS else ""


def _unpacked(path: str) -> str:
    """Return a path without what a packing program puts on."""
    return next((path.removesuffix(suffix) for suffix in _PACKED if path.endswith(suffix)), path)


def _is_diff(document: Document) -> bool:
    return _unpacked(document.path).endswith(".diff")


def _whole(document: Document, reader: Reader, options: Options) -> Iterator[tuple[str, Item]]:
    for item in numbered(document.lines, options):
        for said in (item,) if isinstance(item, BadLine) else reader(*item, options):
            yield document.path, said


def _changed(document: Document, diff: Document, reader: Reader, options: Options) -> Iterator[tuple[str, Item]]:
    """Yield what a file says with its changes; only these are held in memory."""
    changes: dict[str, Said] = {}
    for item in numbered(diff.lines, options):
        bad = item if isinstance(item, BadLine) else _change(item, changes, reader, options)
        if bad is not None:
            yield diff.path, bad
        if len(changes) > MAX_CHANGES:
            yield diff.path, options.bad(1, f"more than {MAX_CHANGES} changes", "")
            return
    for item in numbered(document.lines, options):
        said = (item,) if isinstance(item, BadLine) else reader(*item, options)
        key = _key(said)
        if key is not None and key in changes:
            if not changes[key]:
                continue
            del changes[key]
        for one in said:
            yield document.path, one
    for said in changes.values():
        for one in said:
            yield diff.path, one


def _change(item: tuple[int, str], changes: dict[str, Said], reader: Reader, options: Options) -> Item | None:
    """Take note of one line of a diff, or return what is wrong with it."""
    number, text = item
    rest = text[1:].strip()
    if text[0] not in "+-" or not rest:
        return options.bad(number, "neither + nor - and a line", text)
    said = reader(number, rest, options)
    key = _key(said)
    if key is None:
        return said[0]
    changes[key] = said if text[0] == "+" else ()
    return None


def _key(said: Said) -> str | None:
    return said[0].value if isinstance(said[0], Entry) else None


def _domain(number: int, text: str, options: Options) -> Said:
    return (named(text, Scope.EXACT if options.subdomains is False else Scope.TREE, number, options),)


def _expression(number: int, text: str, options: Options) -> Said:
    if _BEYOND_RE2.search(text):
        return (options.unenforceable(number, "an expression with a word boundary that re2 does not have", text),)
    return (searched(text, Scope.URL, number, options, whole=text),)


def _url(number: int, text: str, options: Options) -> Said:
    url = web_address(number, text, options)
    if isinstance(url, BadLine):
        return (url,)
    if url.path.count("/") >= MAX_DIRECTORIES:
        return (options.bad(number, f"more than {MAX_DIRECTORIES - 1} directories", text),)
    said: list[Item] = []
    for host in _hosts(url.host):
        spelled = (
            url._replace(host=host, path=url.path.rstrip("/") or "/") if url.query is None else url._replace(host=host)
        )
        said += _covering(spelled, number, text, options)
    return tuple(said)


def _covering(url: Url, number: int, text: str, options: Options) -> Iterator[Entry]:
    entry = entry_of(url, number, text, options)
    yield entry
    if entry.kind is Kind.URL and entry.scope is Scope.PAGE and url.path != "/":
        yield entry._replace(value=f"{entry.value}/", scope=Scope.PREFIX)


def _hosts(host: str) -> tuple[str, ...]:
    """Return a host and, where it is a name, the same with `www.` put on or taken off."""
    if is_address(host):
        return (host,)
    if not host.startswith("www."):
        return host, f"www.{host}"
    bare = host.removeprefix("www.")
    return (host, bare) if "." in bare and not is_address(bare) else (host,)


_READERS: dict[str, Reader] = {"domains": _domain, "urls": _url, "expressions": _expression}
