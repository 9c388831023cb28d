"""A profile's own entries: `host` (with all below it), `*.host` (below it), `=host` (it alone), or a URL.

A URL with a query is that one, without it is the page; a URL ending in `/*` is everything below that directory.
"""

from __future__ import annotations

from collections.abc import Iterator

from filterproxy.core.model import Action, Entry, Kind, Scope
from filterproxy.core.names import host, is_address
from filterproxy.core.urls import MAX_DIRECTORIES, canonical
from filterproxy.errors import ConfigError
from filterproxy.settings import Settings
from filterproxy.settings.tables import Profile

from .compile import Compiled, compile_segment
from .formats.lines import plain


def parse_own(text: str) -> Entry | None:
    """Return the entry that `text` means, or None where it means none."""
    if "/" not in text:
        prefix = "*." if text.startswith("*.") else "=" if text.startswith("=") else ""
        name = host(text.removeprefix(prefix))
        if name is None or not plain(name):
            return None
        scope = {"*.": Scope.BELOW, "=": Scope.EXACT, "": Scope.TREE}[prefix]
        return Entry(Kind.DOMAIN, name, Scope.EXACT if is_address(name) else scope)
    scope = Scope.PREFIX if text.endswith("/*") else Scope.PAGE
    url = canonical(text[:-1] if scope is Scope.PREFIX else text)
    if url is None or not plain(url.host) or url.path.count("/") > MAX_DIRECTORIES:
        return None
    if scope is Scope.PREFIX and ("?" in text or "#" in text):
        return None  # what is everything below a query?
    authority = url.authority
    if url.query is None:
        return Entry(Kind.URL, f"{authority}{url.path}", scope, scheme=url.scheme)
    return Entry(Kind.URL, f"{authority}{url.path}?{url.query}", Scope.EXACT, scheme=url.scheme)


def compile_own(settings: Settings, key: bytes) -> Iterator[Compiled]:
    """Yield a segment for each profile's deny and allow entries. Raises ConfigError naming one that means nothing."""
    for profile in settings.profiles:
        for rule, texts in (("deny", profile.deny), ("allow", profile.allow)):
            if texts:
                action = Action.ALLOW if rule == "allow" else Action.BLOCK
                yield compile_segment(f"{rule}:{profile.id}", _entries(profile, rule, texts, action), key)


def _entries(profile: Profile, rule: str, texts: tuple[str, ...], action: Action) -> Iterator[Entry]:
    for number, text in enumerate(texts):
        entry = parse_own(text)
        if entry is None:
            raise ConfigError(f"profiles.{profile.id}.{rule}.{number}: neither a host nor a URL")
        yield Entry(entry.kind, entry.value, entry.scope, action, scheme=entry.scheme)
