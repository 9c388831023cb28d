"""Who is judged by what: profiles by client network, overrides, and the bundle they look into."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from .bundle import CANARY, Bundle, Segment
from .model import Action, Basis, Entry, ListFormat, Listing, OnFailure

MEMO_CLIENTS: Final = 65_536


@dataclass(frozen=True, slots=True)
class Profile:
    """A group of clients. `lists` are those it subscribes to; None means every list."""

    id: str
    networks: tuple[str, ...] = ()
    lists: frozenset[str] | None = None

    def subscribes(self, listing: Listing) -> bool:
        """Tell whether the list counts for this profile; a mandatory one always does."""
        return listing.mandatory or self.lists is None or listing.id in self.lists


EVERYONE: Final = Profile("default", ("0.0.0.0/0", "::/0"))
"""The profile of a configuration that names none: every client, every list."""


@dataclass(frozen=True, slots=True)
class Override:
    """A decision that spares what `entry` covers from one list, until it expires."""

    id: str
    list_id: str
    entry: Entry = field(repr=False)
    expires_at: datetime
    reference: str = ""
    approved_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranked:
    """A list as one profile meets it: its segment's place, that of its overrides, and who answers for it."""

    listing: Listing
    place: int | None
    override: int | None
    loaded_at: datetime | None


@dataclass(frozen=True, slots=True)
class View:
    """What counts for one profile, strongest first."""

    profile: Profile
    mandatory: tuple[Ranked, ...]
    deny: Ranked | None
    allow: Ranked | None
    sparing: tuple[Ranked, ...]
    """Subscribed lists whose action is allow."""
    blocking: tuple[Ranked, ...]
    keywords: tuple[Ranked, ...]
    closed: tuple[Ranked, ...]
    """Mandatory and subscribed lists with `on_failure = "closed"`."""
    reads_urls: bool
    """Whether some list says something of URLs on hosts that no list names: keywords, expressions."""


class Policy:
    """Everything a decision needs, immutable: profiles, lists and the bundle, of one generation."""

    __slots__ = (
        "_canaries", "_clients", "_networks", "_views", "bundle", "generation", "listings", "says", "territory",
    )  # fmt: skip

    def __init__(
        self,
        bundle: Bundle,
        listings: Sequence[Listing],
        profiles: Sequence[Profile] = (),
        generation: int = 0,
        territory: frozenset[str] = frozenset(),
    ) -> None:
        """Take what is in force. Segments are found by name; a list without one never loaded."""
        self.bundle, self.generation, self.territory = bundle, generation, territory
        self.listings = tuple(listings)
        self.says = object()
        """The same of policies that judge everything alike: what was decided under one holds under the other."""
        places = {segment.name: place for place, segment in enumerate(bundle.segments)}
        self._canaries = {
            item.id: Ranked(companion(item), places[f"{CANARY}{item.id}"], None, None)
            for item in self.listings
            if f"{CANARY}{item.id}" in places
        }
        profiles = tuple(profiles) or (EVERYONE,)
        self._views = {profile.id: self._view(profile, places) for profile in profiles}
        self._networks = _by_prefix(profiles)
        self._clients: dict[str, str | None] = {}

    def read_again(self, generation: int, loaded: Mapping[str, datetime]) -> Policy:
        """Return the policy over the same segments, whose sources were read again and said nothing new.

        `loaded` tells when, by segment. It judges as this one does, unless a list fails closed once it is too old:
        what was refused then is to be served now.
        """
        profiles = [view.profile for view in self._views.values()]
        again = Policy(self.bundle.read_again(loaded), self.listings, profiles, generation, self.territory)
        if not any(_ages(item) for view in self._views.values() for item in view.closed):
            again.says = self.says
        return again

    @property
    def profiles(self) -> tuple[str, ...]:
        """The ids of the profiles."""
        return tuple(self._views)

    def view(self, profile: str) -> View:
        """Return what counts for a profile. Raises KeyError where there is none of that id."""
        return self._views[profile]

    def profile_of(self, client: str) -> str | None:
        """Return the profile of the longest prefix that holds the client's address; None: the client is not served."""
        try:
            return self._clients[client]
        except KeyError:
            found = self._profile_of(client)
            if len(self._clients) >= MEMO_CLIENTS:
                self._clients.clear()
            self._clients[client] = found
            return found

    def _profile_of(self, client: str) -> str | None:
        try:
            address = ipaddress.ip_address(client.partition("%")[0])
        except ValueError:
            return None
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        number, width = int(address), address.max_prefixlen
        for prefix, owners in self._networks[address.version]:
            owner = owners.get(number >> (width - prefix))
            if owner is not None:
                return owner
        return None

    def _view(self, profile: Profile, places: Mapping[str, int]) -> View:
        def ranked(listing: Listing, name: str) -> Ranked:
            place = places.get(name)
            loaded = None if place is None else self.bundle.segments[place].loaded_at
            return Ranked(listing, place, places.get(f"override:{listing.id}"), loaded)

        def own(rule: str) -> Ranked | None:
            name = f"{rule}:{profile.id}"
            return ranked(_own_listing(profile.id), name) if name in places else None

        def accompanied(found: Iterable[Ranked]) -> Iterator[Ranked]:
            """Put a list's canaries right behind it, so that they rank as it does."""
            for item in found:
                yield item
                if (canaries := self._canaries.get(item.listing.id)) is not None:
                    yield canaries

        lists = [ranked(item, f"list:{item.id}") for item in self.listings if profile.subscribes(item)]
        blocks = [item for item in lists if item.listing.action is not Action.ALLOW]
        plain = [item for item in blocks if item.listing.format is not ListFormat.KEYWORDS]
        return View(
            profile=profile,
            mandatory=tuple(accompanied(item for item in plain if item.listing.mandatory)),
            deny=own("deny"),
            allow=own("allow"),
            sparing=tuple(accompanied(item for item in lists if item.listing.action is Action.ALLOW)),
            blocking=tuple(accompanied(item for item in plain if not item.listing.mandatory)),
            keywords=tuple(accompanied(item for item in blocks if item.listing.format is ListFormat.KEYWORDS)),
            closed=tuple(
                item
                for item in blocks
                if item.listing.on_failure is OnFailure.CLOSED and item.listing.action is not Action.FLAG
            ),
            reads_urls=any(self._reads_urls(item) for item in accompanied(lists)),
        )

    def _reads_urls(self, ranked: Ranked) -> bool:
        if ranked.place is None:
            return False
        segment = self.bundle.segments[ranked.place]
        return len(segment.patterns) > 0 or len(segment.url_rules) > 0


def _ages(ranked: Ranked) -> bool:
    """Tell whether what a fail-closed list says may have changed with the time at which it was read."""
    return ranked.loaded_at is None or ranked.listing.max_age is not None


def companion(listing: Listing) -> Listing:
    """Return who answers for a list's canaries: the list in every setting, but nothing is counted as the list's."""
    return replace(listing, id=f"{CANARY}{listing.id}")


def _own_listing(profile: str) -> Listing:
    """Return who answers for a profile's own entries: its holder, who asked for them."""
    return Listing(id=f"profile:{profile}", title="Your own settings", basis=Basis.SUBSCRIBER, opt_out=True, ede=17)


def _by_prefix(profiles: Sequence[Profile]) -> dict[int, list[tuple[int, dict[int, str]]]]:
    """Return by IP version: prefix lengths, the longest first, each with its network numbers and their profile."""
    found: dict[int, dict[int, dict[int, str]]] = {4: {}, 6: {}}
    for profile in profiles:
        for text in profile.networks:
            network = ipaddress.ip_network(text)
            number = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            found[network.version].setdefault(network.prefixlen, {}).setdefault(number, profile.id)
    return {version: sorted(by_prefix.items(), reverse=True) for version, by_prefix in found.items()}


__all__ = ["EVERYONE", "Override", "Policy", "Profile", "Ranked", "Segment", "View", "companion"]
