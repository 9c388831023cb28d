"""What of a configuration is told to clients."""

from __future__ import annotations

from filterproxy.dns.about import About
from filterproxy.settings import Settings


def test_it_is_who_runs_it_its_pages_and_the_profiles_that_any_client_may_choose():
    """Nothing is said of pages that are not served, nor of profiles that belong to addresses alone."""
    settings = Settings.model_validate({
        "operator": {"name": "Example Net"},
        "portal": {"url": "https://notice.example/"},
        "profiles": [{"id": "family", "choose": True}, {"id": "school", "networks": ["192.0.2.0/24"]}],
    })  # fmt: skip
    about = About.of(settings)
    assert (about.operator.name, about.portal, about.profiles) == ("Example Net", "https://notice.example", ("family",))
    silent = settings.model_copy(update={"portal": settings.portal.model_copy(update={"enabled": False})})
    assert About.of(silent).portal == ""
