"""What every table shares: frozen, and an unknown key is an error that names the key."""

from __future__ import annotations

import ipaddress
import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import can_ada
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from filterproxy.core import names

_DURATION = re.compile(r"0*(\d+)\s*(s|m|h|d|w)")
_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = timedelta(days=3660)
_WEB = re.compile(r"\s*https?:", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]")
_LOCAL = re.compile(r"(?=.{1,64}$)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


class Table(BaseModel):
    """A table of the configuration."""

    # Durations as seconds: the supervisor hands its settings to children as JSON, and they read them like a file's.
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_timedelta="float")


def _duration(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, float) and math.isnan(value)):
        raise ValueError("write a duration such as 30s, 15m, 12h or 7d")
    if isinstance(value, int | float):
        return timedelta(seconds=min(max(value, -1), _LONGEST.total_seconds() + 1))
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if not found:
            raise ValueError("write a duration such as 30s, 15m, 12h or 7d")
        seconds = int(found[1][:12]) * _UNIT[found[2]]
        return timedelta(seconds=min(seconds, _LONGEST.total_seconds() + 1))
    return value


def _bounded(value: timedelta) -> timedelta:
    if not timedelta() <= value <= _LONGEST:
        raise ValueError(f"from 0 to {_LONGEST.days} days")
    return value


def socket_address(value: str) -> str:
    """Return ADDRESS:PORT as it is. Raises ValueError."""
    host, _, port = value.rpartition(":")
    try:
        ipaddress.ip_address(host.strip("[]"))
        number = int(port)
    except ValueError:
        raise ValueError("write ADDRESS:PORT, such as 127.0.0.1:53 or [::1]:53") from None
    if not 0 < number < 65536 or (":" in host) != host.startswith("["):
        raise ValueError("write ADDRESS:PORT, such as 127.0.0.1:53 or [::1]:53")
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError("write a network such as 192.0.2.0/24 or 2001:db8::/32") from None


def host_name(value: str) -> str:
    """Return the one spelling of a host name or address. Raises ValueError."""
    found = names.host(value)
    if found is None or not _HOST.fullmatch(found):
        raise ValueError("write a host name such as shop.example, or an address")
    return found


def email_address(value: str) -> str:
    """Return an e-mail address as it is. Raises ValueError."""
    local, _, domain = value.rpartition("@")
    if not _LOCAL.fullmatch(local) or not _HOST.fullmatch(domain.lower()) or names.host(domain) is None:
        raise ValueError("write an e-mail address such as abuse@operator.example")
    return value


def https_url(value: str) -> str:
    """Return an https URL as it is. Raises ValueError, whose text holds nothing of it: it may hold a secret."""
    scheme, slashes, _ = value.partition("://")
    if slashes and scheme.lower() == "http":
        raise ValueError("write an https URL: whoever is on the way could change what comes over http")
    good, secret = _web(value) if slashes and scheme.lower() == "https" else (False, False)
    if not good:
        raise ValueError("write an https URL, such as https://lists.example/ads.txt")
    if secret:
        raise ValueError("a password does not belong into a URL: put it into fetch.headers")
    return value


def _web(value: str) -> tuple[bool, bool]:
    """Tell whether a URL can be asked for as it is written, and whether it holds a name or password."""
    try:
        url = can_ada.parse(value)
        good = names.trimmed(str(url.hostname)) is not None and url.port != "0"
        return good and value.isprintable() and not set(" \\") & set(value), bool(url.username or url.password)
    except (ValueError, TypeError):
        return False, False


def source(value: str) -> str:
    """Return a path or an https URL as it is. Raises ValueError for what would be taken for the one and is neither."""
    if "\0" in value:
        raise ValueError("a path holds no NUL")
    if "://" in value or _WEB.match(value):
        return https_url(value)
    return value


def _path(value: object) -> object:
    if isinstance(value, str) and (not value or "\0" in value):
        raise ValueError("write a path: it is not empty and holds no NUL")
    return value


def is_loopback(host: str) -> bool:
    """Tell whether a canonical host is this machine by its name or address."""
    if host == "localhost" or not names.is_address(host):
        return host == "localhost"
    return ipaddress.ip_address(host.strip("[]")).is_loopback


Duration = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_bounded)]
"""A length of time: a number of seconds, or text such as 30s, 15m, 12h, 7d, 2w."""

SocketAddress = Annotated[str, AfterValidator(socket_address)]
"""ADDRESS:PORT; an IPv6 address stands in brackets."""

Network = Annotated[str, AfterValidator(_network)]
"""An IPv4 or IPv6 network in CIDR form."""

HostName = Annotated[str, AfterValidator(host_name)]
"""A host name or address, kept in its one spelling; an IPv6 address in brackets."""

EmailAddress = Annotated[str, AfterValidator(email_address)]
"""An e-mail address whose local part is a dot-atom (RFC 5321, section 4.1.2), in ASCII."""


FilePath = Annotated[Path, BeforeValidator(_path)]
"""A file or folder of this machine."""

SourceText = Annotated[str, AfterValidator(source)]
"""A path or an https URL."""


def split_address(value: str) -> tuple[str, int]:
    """Return the address and port of a SocketAddress."""
    host, _, port = value.rpartition(":")
    return host.strip("[]"), int(port)


PRIVATE = (
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
    "::1/128", "fc00::/7", "fe80::/10",
)  # fmt: skip
"""Who is served unless the operator says otherwise: this machine and private networks, never the Internet."""


_WIDEST = {4: 8, 6: 16}
"""The shortest prefix of public addresses that an operator's own customers could have."""


def _served(value: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse to serve the Internet, also where it is written in parts."""
    networks = [ipaddress.ip_network(item) for item in value]
    four = ipaddress.collapse_addresses(net for net in networks if isinstance(net, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(net for net in networks if isinstance(net, ipaddress.IPv6Network))
    found: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = (*four, *six)
    for wide in (net for net in found if net.prefixlen < _WIDEST[net.version] and str(net) not in PRIVATE):
        raise ValueError(f"{wide} would serve the Internet, as an open resolver or proxy: write your own networks")
    return value


Served = Annotated[tuple[Network, ...], AfterValidator(_served)]
"""Networks of clients that are served: never the Internet."""
