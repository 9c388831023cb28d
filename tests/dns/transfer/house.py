"""Two receivers and their lists: what a test of transfers is served by, and how a receiver asks."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
import dns.tsig

from filterproxy.dns.transfer.receivers import Receivers
from filterproxy.settings import Settings, load_text

SECRETS = {"one": b"1" * 32, "two": b"2" * 16}
KEYS = {
    "one": dns.tsig.Key("one.example", SECRETS["one"], "hmac-sha256"),
    "two": dns.tsig.Key("two.example", SECRETS["two"], "hmac-sha512"),
}
ZONES = {"open.rpz.example": "open", "secret.rpz.example": "secret"}
TEXT = """
[dns.transfer]
listen = ["127.0.0.1:8853"]
zone = "rpz.example"
certificate = "{folder}/cert.pem"
key = "{folder}/key.pem"
[[dns.transfer.receivers]]
id = "one"
networks = ["127.0.0.0/24", "2001:db8::/64"]
key_name = "one.example"
secret = "{folder}/one.tsig"
notify = {notify}
[[dns.transfer.receivers]]
id = "two"
networks = ["127.0.2.0/24"]
key_name = "Two.Example"
secret = "{folder}/two.tsig"
algorithm = "hmac-sha512"
[[lists]]
id = "open"
source = "x"
format = "domains"
rpz = true
[[lists]]
id = "secret"
source = "x"
format = "domains"
confidential = true
rpz = true
rpz_receivers = ["two"]
[[lists]]
id = "kept"
source = "x"
format = "domains"
confidential = true
rpz = true
[[lists]]
id = "own"
source = "x"
format = "domains"
"""


def settings(folder: Path | str = "/nowhere", notify: list[str] | None = None) -> Settings:
    return load_text(TEXT.format(folder=folder, notify=str(notify or []).replace("'", '"')))


def receivers(**options: Any) -> Receivers:
    return Receivers(settings(**options), SECRETS)


def write_secrets(folder: Path) -> None:
    for name, secret in SECRETS.items():
        path = folder / f"{name}.tsig"
        path.write_text(base64.b64encode(secret).decode() + "\n")
        path.chmod(0o600)


def query(zone: str = "open.rpz.example", qtype: str = "AXFR", key: dns.tsig.Key | None = KEYS["one"]) -> Any:
    """Return a question as dnspython asks it; `.to_wire()` signs it."""
    found = dns.message.make_query(zone, qtype)
    found.flags = 0
    if qtype == "IXFR":
        found.authority.append(dns.rrset.from_text(f"{zone}.", 0, "IN", "SOA", ". . 7 1 1 1 1"))
    if key is not None:
        found.use_tsig(key)
    return found


def tsig(message: Any) -> Any:
    """Return the name and the data of a message's signature."""
    return message.tsig.name, message.tsig[0]
