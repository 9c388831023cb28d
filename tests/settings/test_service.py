"""What of [dns] says who is served how is refused where it could not be kept."""

from __future__ import annotations

import pytest

from filterproxy.errors import ConfigError
from filterproxy.settings import load_text

SERVED = 'name = "dns.operator.example"\ncertificate = "a.pem"\nkey = "a.key"\n'
RECEIVER = 'id = "{0}"\nnetworks = ["192.0.2.53/32"]\nkey_name = "{1}"\nsecret = "a.tsig"\n'
LONG = ".".join(["a" * 63] * 3 + ["b" * 60])
LIST = '[[lists]]\nid = "a"\nsource = "a.domains"\n'


def test_nothing_is_served_encrypted_unless_it_is_asked_for():
    """Neither port is opened without an address, and no zone is given."""
    dns = load_text("").dns
    assert not dns.encrypted.enabled
    assert load_text('[dns.encrypted]\ndot = ["127.0.0.1:853"]\n' + SERVED).dns.encrypted.enabled
    assert not dns.transfer.listen


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[dns.encrypted]\ndot = ["127.0.0.1:853"]', "name, certificate and key"),
        ('[dns.encrypted]\ndoh = ["127.0.0.1:443"]\nname = "dns.example"', "name, certificate and key"),
        ('[dns.encrypted]\nname = "192.0.2.1"', "write a name"),
        ('[dns.encrypted]\npath = "dns-query"', "dns.encrypted.path"),
        ('[dns.encrypted]\npath = "/dns query"', "dns.encrypted.path"),
        ('[dns.encrypted]\nidle = "0s"', "dns.encrypted.idle"),
        ("[dns.limits]\nipv4_prefix = 33", "dns.limits.ipv4_prefix"),
        ("[dns.limits]\nrate = -1", "dns.limits.rate"),
        ('[dns.transfer]\nlisten = ["127.0.0.1:853"]', "certificate and key"),
        ("[[dns.transfer.receivers]]\n" + RECEIVER.format("A", "a.example"), "receivers.0.id"),
        ("[[dns.transfer.receivers]]\n" + RECEIVER.format("a", "a.example").replace("192.0.2.53/32", "::/0"), "own"),
        (
            "".join("[[dns.transfer.receivers]]\n" + RECEIVER.format("a", name) for name in ("a.example", "b.example")),
            "the id a stands twice",
        ),
        (
            "".join("[[dns.transfer.receivers]]\n" + RECEIVER.format(name, "a.example") for name in "ab"),
            "the key_name a.example stands twice",
        ),
        (LIST + 'rpz = true\naction = "allow"', "only a list that blocks"),
        (LIST + 'rpz = true\nrpz_receivers = ["nobody"]', "no receiver nobody"),
        (f'[dns.transfer]\nzone = "{LONG}"\n{LIST}rpz = true', "transfer.zone: a before it makes a name that is too"),
    ],
)
def test_what_could_not_be_kept_is_refused(text, said):
    """The error names the key, and nothing starts."""
    with pytest.raises(ConfigError, match=said):
        load_text(text)


def test_a_list_goes_to_receivers_that_are_known():
    """Receivers stand in one place, and lists name them."""
    text = "[[dns.transfer.receivers]]\n" + RECEIVER.format("one", "One.Example") + LIST
    settings = load_text(text + 'rpz = true\nconfidential = true\nrpz_receivers = ["one"]')
    assert settings.lists[0].rpz_receivers == ("one",)
    assert settings.dns.transfer.receivers[0].key_name == "one.example"
