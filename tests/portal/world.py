"""A portal over real parts: a policy of compiled lists, a real store, real keys, a clock that tests move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from starlette.testclient import TestClient

from filterproxy.core.bundle import Bundle
from filterproxy.core.model import Entry, Kind, Scope
from filterproxy.core.policy import Policy, Profile
from filterproxy.lists.compile import compile_segment
from filterproxy.notice.render import Notices
from filterproxy.notice.token import Blocked, Opener, Sealer
from filterproxy.portal.app import create_app
from filterproxy.portal.parts import Parts
from filterproxy.portal.record import ListRecord, Record
from filterproxy.settings import Settings, load_text
from filterproxy.store import Store

START = datetime(2026, 3, 1, 12, 34, tzinfo=UTC)
KEY = bytes(32)

CONFIG = """
[operator]
name = "Example Net"
contact = "help@net.example"
url = "https://net.example/"
[[operator.help]]
name = "A helpline for children"
url = "https://helpline.example/"
[dns]
clients = ["192.0.2.0/24", "127.0.0.0/8", "203.0.113.0/24"]
[gateway]
clients = ["198.51.100.0/24", "2001:db8::/32"]
[portal]
url = "http://{host}"
names = ["help.example"]
[[lists]]
id = "pages"
title = "Pages of the Example Board"
authority = "Example Board"
category = "Pages that hurt children"
basis = "law"
confidential = true
source = "unused"
format = "urls"
dns = "notice"
https = "block-host"
appeal = "appeals@board.example"
[[lists]]
id = "sites"
title = "Sites of the Example Court"
authority = "Example Court"
category = "Gambling"
basis = "court"
source = "unused"
format = "domains"
dns = "notice"
[[lists]]
id = "words"
title = "Words"
category = "Violence"
basis = "subscriber"
opt_out = true
source = "unused"
format = "keywords"
action = "warn"
"""

ENTRIES = {
    "pages": [Entry(Kind.URL, "mixed.example/listed/place", Scope.PAGE, scheme="http")],
    "sites": [Entry(Kind.DOMAIN, "games.example", Scope.TREE)],
    "words": [Entry(Kind.KEYWORD, "warlike", Scope.WORD)],
}


@dataclass
class Counting:
    """Counts what it is told."""

    events: Counter[str] = field(default_factory=Counter)

    def event(self, name: str) -> None:
        self.events[name] += 1


@dataclass
class World:
    """All that a portal stands in, and the hands on its clock."""

    parts: Parts
    sealer: Sealer
    count: Counting
    clock: list[datetime]

    def client(self, base_url: str = "http://notice.example", client: str = "192.0.2.7") -> TestClient:
        """Return a browser on `client` that lets a failure of the application show."""
        return TestClient(create_app(self.parts), base_url, client=(client, 50000), follow_redirects=False)

    def with_store_away(self) -> World:
        """Return the same with a store whose folder does not exist."""
        away = Store("sqlite:////nonexistent/folder/db", KEY)
        return replace(self, parts=replace(self.parts, store=away))

    def token(self, subject: str = "http://mixed.example/listed/place", list_id: str = "pages") -> str:
        """Return what a notice for `subject` carries."""
        kind = "url" if "://" in subject else "host"
        return self.sealer.seal(Blocked(list_id, subject, kind, self.clock[0], "ABCD-2345"))  # type: ignore[arg-type]

    def with_settings(self, config: str) -> World:
        """Return the same under another configuration, with its policy."""
        settings = load_text(config)
        policy = make_policy(settings)
        return replace(self, parts=replace(self.parts, settings=settings, policy=lambda: policy))

    def later(self, by: timedelta) -> None:
        self.clock[0] += by


def make_policy(settings: Settings, entries: Mapping[str, list[Entry]] = ENTRIES) -> Policy:
    """Return a policy of these entries; clients of 203.0.113.0/24 are not served."""
    segments = [
        compile_segment(f"list:{listing.id}", entries[listing.id], KEY, listing, loaded_at=START).segment()
        for listing in settings.listings
    ]
    networks = ("192.0.2.0/24", "127.0.0.0/8", "198.51.100.0/24", "2001:db8::/32")
    return Policy(Bundle(segments, KEY), settings.listings, [Profile("home", networks)])


def make_record(settings: Settings) -> Record:
    """Return what the runtime would tell of these lists."""
    sizes = {"pages": (1200, 12, 80, 8), "sites": (None, 100, 0, 0), "words": (340, 55, 0, 45)}
    return Record(tuple(
        ListRecord(
            item.id, item.title, item.authority, item.category, item.basis, item.opt_out, item.confidential,
            *sizes[item.id], loaded_at=START - timedelta(hours=7), stale=item.id == "words",
        )
        for item in settings.listings
    ))  # fmt: skip


def make_world(folder: Path, host: str = "notice.example") -> World:
    """Return a portal's surroundings, its database in `folder`."""
    settings = load_text(CONFIG.replace("{host}", host))
    pair = X25519PrivateKey.generate()
    sealer = Sealer(pair.public_key().public_bytes_raw())
    clock, count = [START], Counting()
    policy, record = make_policy(settings), make_record(settings)
    parts = Parts(
        settings=settings, store=Store.open(f"sqlite:///{folder / 'db'}", KEY),
        opener=Opener([pair.private_bytes_raw()]), notices=Notices(settings.operator, settings.portal.url, sealer),
        policy=lambda: policy, record=lambda: record, count=count, now=lambda: clock[0], mac_key=KEY,
    )  # fmt: skip
    return World(parts, sealer, count, clock)
