"""What these settings would put in force now, compiled in memory, where the product does not run."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime

from filterproxy.core.bundle import Segment
from filterproxy.core.policy import Policy
from filterproxy.errors import SegmentError, SourceError
from filterproxy.settings import Settings

from . import publish, sources
from .own import compile_own
from .publish import Manifest
from .reading import Before, Reader
from .seals import Opening, Seals

log = logging.getLogger("filterproxy.lists")


def compile_all(settings: Settings, seals: Seals, opening: Opening | None = None) -> Policy:
    """Return the policy that these settings would put in force now, from the sources, writing nothing.

    A list whose source is refused is taken from the bundle on disk, if `opening` opens it; so are lists that come over
    the network, and overrides. Used where the product does not run: `filterproxy check`, the addon by itself. Raises
    ConfigError.
    """
    now = datetime.now(UTC)
    manifest, stored = _stored(settings, seals, opening)
    segments: dict[str, Segment] = {name: item for name, item in stored.items() if name.startswith("override:")}
    reader = Reader.of(settings, seals.digest, seals.mac)
    ended = [table.id for table in settings.lists if table.licence_until and table.licence_until < now.date()]
    for table in (item for item in settings.lists if item.id not in ended):
        name = f"list:{table.id}"
        held = stored.get(name)
        if held is not None and sources.is_remote(table.source):
            segments[name] = held
            continue
        status = next((status for status in manifest.statuses if status.list_id == table.id), None)
        before = Before(None if status is None else replace(status, made_with=""), held.shares if held else None)
        try:
            released = frozenset(status.released if status else ())
            reading = reader.read(table, now, before, released=released)
            if reading is not None:
                segments[name] = reading.compiled.segment()
        except SourceError as exc:
            log.error("list %s: refused: %s", table.id, exc)
            if held is not None:
                segments[name] = held
    for compiled in compile_own(settings, seals.digest):
        segments[compiled.name] = compiled.segment()
    return publish.policy_of(settings, segments.values(), seals.digest, 0, {}, ended)


def _stored(settings: Settings, seals: Seals, opening: Opening | None) -> tuple[Manifest, dict[str, Segment]]:
    """Return the manifest on disk and its segments; what is refused ends the reading."""
    found: dict[str, Segment] = {}
    manifest = Manifest(0)
    if opening is None:
        return manifest, found
    folder = publish.bundle_folder(settings.runtime.state)
    try:
        mark = publish.mark(settings.runtime.state)
        manifest = publish.load(folder, opening.signing_public, mark=mark) or manifest
        if manifest.parts and manifest.keys.get("digest") != seals.ids["digest"]:
            raise SegmentError("made under another digest key")
        loaded = manifest.loaded()
        for part in manifest.parts:
            segment = Segment.from_buffer(memoryview(b"".join(publish.opened(folder, part, opening))))
            found[part.name] = replace(segment, loaded_at=loaded.get(part.name))
    except SegmentError as exc:
        log.error("bundle: %s", exc)
    return manifest, found
