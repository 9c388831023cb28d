"""One list or more of every format, each with all that its entries and other lines are: tests/data/lists/FORMAT-*.

NAME.golden is what `filterproxy lists parse` prints of NAME.EXT or the folder NAME, with what it complains of behind
it, each line after `# `. To make one anew: `python -m tests.lists.formats.test_golden`; then read the difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from filterproxy.cli.parse import complaint, entry_line
from filterproxy.core.model import Entry, ListFormat
from filterproxy.lists.formats import Columns, Document, Options, placed
from tests.conftest import ROOT

LISTS = ROOT / "tests" / "data" / "lists"
OPTIONS = {
    "csv-feed": Options(
        columns=Columns(url="url", domain="3", reference="id", not_before="from", not_after="until", territory="where")
    ),
}
"""The settings of lists that have any."""


def sources() -> list[Path]:
    """Return every list and tree that has a golden dump or should have."""
    return sorted(path for path in LISTS.iterdir() if path.suffix != ".golden")


def documents(path: Path) -> list[Document]:
    """Return the documents of a list, or of a tree as a source gives them."""
    if path.is_file():
        return [Document(path.name, path.read_bytes().splitlines(keepends=True))]
    found = sorted(inner for inner in path.rglob("*") if inner.is_file())
    return [Document(str(inner.relative_to(path)), inner.read_bytes().splitlines(keepends=True)) for inner in found]


def dump(path: Path) -> str:
    """Return the golden dump of a list as it is now."""
    form = ListFormat(path.stem.partition("-")[0])
    entries, others = [], []
    for place, item in placed(form, documents(path), OPTIONS.get(path.stem, Options())):
        if isinstance(item, Entry):
            entries.append(entry_line(item))
        else:
            others.append(f"# {place}:{complaint(item)}" if path.is_dir() else f"# {complaint(item)}")
    return "".join(f"{line}\n" for line in [*entries, *others])


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.stem)
def test_a_list_says_what_it_said(path):
    """Whatever changes in what a line means, or is refused for, shows as a difference of a file that people read."""
    assert dump(path) == path.with_suffix(".golden").read_text()


def test_every_format_has_a_golden_dump():
    """No format goes without one."""
    assert {path.stem.partition("-")[0] for path in sources()} == set(ListFormat)


if __name__ == "__main__":
    for source in sources():
        source.with_suffix(".golden").write_text(dump(source))
