"""A list's source, wherever it is: fetched, its signature checked, unpacked, and its documents laid out to be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filterproxy.errors import SourceError
from filterproxy.lists.formats.lines import Document
from filterproxy.settings.lists import List

from . import addresses, files, paths, tar, unpack
from .addresses import Resolve
from .https import Client, Validators
from .memory import Content, kept
from .places import Place, beside, is_remote, shown
from .signatures import MAX_SIGNATURE, Key
from .texts import Opener, Text, part


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a source held. Its documents can be read until it is closed, as often as wanted."""

    documents: Sequence[Document]
    """Sorted by their path, which is relative to `within`; that of a single document is the file's name, or `list`."""
    validators: Validators
    """What to ask with the next time; empty for files."""
    unchanged: bool
    """Whether the source says that it is as it was; then there are no documents."""
    size: int
    """Bytes as they arrived."""
    _texts: tuple[Text, ...] = field(default=(), repr=False)

    @property
    def ended(self) -> bool:
        """Whether the last line of every document that was read has its end: without, it may have been cut short."""
        return all(text.ended for text in self._texts)


@contextmanager
def opened(table: List, before: Validators | None = None, *, resolve: Resolve = addresses.system) -> Iterator[Fetched]:
    """Open a list's source; an https one is asked whether it changed since `before`, of the version in force.

    Blocks, at most for `fetch.timeout` on the network. All that was fetched is in memory and freed at the end. Raises
    SourceError, here and while documents are read, whose one line names a path or a host, nothing else of a URL.
    """
    with ExitStack() as stack:
        try:
            fetched = _Opening(table, stack, resolve).fetched(before)
        except SourceError as exc:
            raise SourceError(f"{shown(table.source)}: {exc}") from exc
        yield fetched


class _Opening:
    def __init__(self, table: List, stack: ExitStack, resolve: Resolve) -> None:
        self._table, self._fetch, self._stack, self._resolve = table, table.fetch, stack, resolve
        self._within = paths.folder(table.within)
        self._key = Key.of(table.signed.key) if table.signed.key else None

    def fetched(self, before: Validators | None) -> Fetched:
        if is_remote(self._table.source):
            return self._web(before)
        path = Path(self._table.source)
        if files.is_folder(path):
            return self._folder(path)
        content = self._mine(files.opened(path, self._fetch.max_bytes))
        if self._key is not None:
            # What is verified must be what is parsed, whoever writes to the file meanwhile.
            content = self._mine(kept(content.chunks(), self._fetch.max_bytes))
        self._verify(content, None)
        return self._laid_out(content, path.name, Validators())

    def _web(self, before: Validators | None) -> Fetched:
        place = Place.of(self._table.source)
        client = Client(self._fetch, place, self._resolve)
        found = client.get(place, self._fetch.max_bytes, before)
        if found.content is None:
            return Fetched((), found.validators, unchanged=True, size=0)
        content = self._mine(found.content)
        self._verify(content, client)
        return self._laid_out(content, "list", found.validators)

    def _folder(self, path: Path) -> Fetched:
        if self._key is not None:
            raise SourceError("a folder cannot be signed: sign an archive of it")
        found = files.tree(path, self._within, self._fetch.max_bytes)
        return self._fetched([(name, opener) for name, _, opener in found], Validators(), sum(n for _, n, _ in found))

    def _verify(self, content: Content, client: Client | None) -> None:
        """Raise SourceError unless the list is signed as it must be; where nothing is asked for, all is well."""
        if self._key is None:
            return
        where = self._table.signed.signature
        if not where and client is not None:
            where = beside(self._table.source, self._key.suffix)
        try:
            self._key.check(content, self._signature(where or self._table.source + self._key.suffix, client))
        except SourceError as exc:
            raise SourceError(f"signature: {exc}") from exc

    def _signature(self, where: str, client: Client | None) -> bytes:
        if is_remote(where):
            place = Place.of(where)
            found = (client or Client(self._fetch, place, self._resolve)).get(place, MAX_SIGNATURE).content
            content = self._mine(found) if found is not None else None
        else:
            content = self._mine(files.opened(Path(where), MAX_SIGNATURE))
        return content.read(0, MAX_SIGNATURE) if content is not None else b""

    def _laid_out(self, content: Content, name: str, validators: Validators) -> Fetched:
        size = content.size
        if unpack.packed(content):
            whole = self._mine(unpack.unpacked(content, self._fetch.max_unpacked))
            content.close()
            content = whole
        if not tar.begins(content.read(0, tar.BLOCK)):
            if self._within:
                raise SourceError("within: the source is a single file")
            return self._fetched([(name, part(content, 0, content.size))], validators, size)
        found = [
            (path, part(content, member.at, member.size))
            for member in tar.members(content)
            if (path := paths.below(member.path, self._within)) is not None
        ]
        return self._fetched(sorted(found, key=lambda item: item[0]), validators, size)

    def _fetched(self, found: Sequence[tuple[str, Opener]], validators: Validators, size: int) -> Fetched:
        if not found:
            raise SourceError("within: no such folder is there, or it is empty" if self._within else "no file is there")
        label = self._label(alone=len(found) == 1)
        texts = tuple(Text(label(path), opener) for path, opener in found)
        documents = [Document(path, text) for (path, _), text in zip(found, texts, strict=True)]
        return Fetched(documents, validators, unchanged=False, size=size, _texts=texts)

    def _label(self, *, alone: bool) -> Callable[[str], str]:
        """Return how errors call a document; names inside a confidential source are the provider's secret, too."""
        source = shown(self._table.source)
        return lambda path: source if alone or self._table.confidential else f"{source}: {path}"

    def _mine(self, content: Content) -> Content:
        self._stack.callback(content.close)
        return content
