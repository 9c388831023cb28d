"""Small real policies for tests: lists as lines of text, compiled and mapped as in the product."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from filterproxy.core.model import Entry
from filterproxy.core.policy import Override, Policy
from filterproxy.core.urls import Url, canonical
from filterproxy.lists.compile import compile_segment
from filterproxy.lists.formats import Document, read
from filterproxy.lists.own import compile_own
from filterproxy.lists.publish import policy_of
from filterproxy.lists.reading import options_of
from filterproxy.lists.refresh import compile_overrides
from filterproxy.settings import Settings
from filterproxy.settings.lists import List

KEY = b"k" * 32
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def table(id: str, format: str | None = "domains", **options: object) -> List:
    """Return a list's table as the configuration would give it."""
    return List.model_validate({"id": id, "format": format, "source": f"{id}.txt", **options})


def entries(of: List, lines: Iterable[str]) -> list[Entry]:
    """Return the entries of these lines as the list's format reads them; a bad line fails the test."""
    lines = list(lines)
    if not lines:
        return []
    assert of.format is not None
    found = list(read(of.format, [Document("list", [f"{line}\n".encode() for line in lines])], options_of(of)))
    assert all(isinstance(item, Entry) for item in found), found
    return [item for item in found if isinstance(item, Entry)]


def build(
    lists: Mapping[List, Iterable[str] | None],
    profiles: Iterable[Mapping[str, object]] = (),
    overrides: Iterable[Override] = (),
    *,
    extra: Mapping[str, Iterable[Entry]] | None = None,
    operator: Mapping[str, object] | None = None,
    generation: int = 1,
    loaded_at: datetime = NOW,
) -> Policy:
    """Return a policy over lists of lines; None for a list that never loaded. `extra` adds what no format says."""
    settings = Settings.model_validate({"lists": list(lists), "profiles": list(profiles), "operator": operator or {}})
    segments = []
    for of, lines in lists.items():
        if lines is not None:
            said = [*entries(of, lines), *(extra or {}).get(of.id, ())]
            segments.append(compile_segment(f"list:{of.id}", said, KEY, of.listing, loaded_at=loaded_at).segment())
    segments += [item.segment() for item in compile_overrides(overrides, settings, KEY)]
    segments += [item.segment() for item in compile_own(settings, KEY)]
    return policy_of(settings, segments, KEY, generation, {})


def override(list_id: str, entry: Entry, *, until: datetime | None = None) -> Override:
    """Return an override that spares `entry` from a list, for a year unless said."""
    return Override("o1", list_id, entry, until or NOW.replace(year=2027))


def url(text: str) -> Url:
    """Return the canonical form of what is known to be a URL."""
    found = canonical(text)
    assert found is not None, text
    return found
