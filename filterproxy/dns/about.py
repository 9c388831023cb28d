"""What this resolver says of itself: who runs it, where its public pages are, and which profiles may be chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from filterproxy.settings.tables import Operator

if TYPE_CHECKING:
    from filterproxy.settings import Settings


@dataclass(frozen=True, slots=True)
class About:
    """What of the configuration is told to clients, less the table of DNS itself."""

    operator: Operator = field(default_factory=Operator)
    portal: str = ""
    """The URL of the public pages; empty where there are none."""
    profiles: tuple[str, ...] = ()
    """Ids of the profiles that any client may choose."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what a configuration says."""
        chosen = tuple(item.id for item in settings.profiles if item.choose)
        return cls(settings.operator, settings.portal.url if settings.portal.enabled else "", chosen)
