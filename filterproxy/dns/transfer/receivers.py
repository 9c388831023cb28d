"""Who may take which zone: a receiver is known by its TSIG key, and that key counts from its own networks alone."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
from typing import TYPE_CHECKING, Final

import dns.name
import dns.tsig

from filterproxy.errors import ConfigError, SecretError
from filterproxy.settings.private import read_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from filterproxy.settings import Settings
    from filterproxy.settings.lists import List
    from filterproxy.settings.service import Receiver

SHORTEST: Final = 16
"""Bytes of a key at least."""
LONGEST: Final = 512

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Receivers:
    """All receivers of the configuration, with their keys."""

    def __init__(self, settings: Settings, secrets: Mapping[str, bytes]) -> None:
        """`secrets` has the key of each receiver, by its id."""
        found = settings.dns.transfer.receivers
        self.all = found
        self._networks = {item.id: tuple(ipaddress.ip_network(net) for net in item.networks) for item in found}
        # dnspython's representation of a key shows the key: none of them leaves this object but to sign with.
        keys = [
            (item, dns.tsig.Key(dns.name.from_text(item.key_name), secrets[item.id], item.algorithm)) for item in found
        ]
        self._keys = {key.name: key for _, key in keys}
        self._owners = {key.name: item for item, key in keys}
        self._may = {table.id: frozenset(audience(settings, table)) for table in settings.lists if table.rpz}

    def __repr__(self) -> str:
        """Tell how many there are, and nothing of their keys."""
        return f"Receivers({len(self.all)})"

    def listed(self, address: str) -> bool:
        """Tell whether any receiver may come from this address."""
        return any(self._within(item, address) for item in self.all)

    def key(self, name: dns.name.Name) -> dns.tsig.Key | None:
        """Return the key of this name."""
        return self._keys.get(name.canonicalize())

    def key_of(self, receiver: Receiver) -> dns.tsig.Key:
        """Return the key of a receiver."""
        return self._keys[dns.name.from_text(receiver.key_name)]

    def owner(self, name: dns.name.Name, address: str) -> Receiver | None:
        """Return whose key this is, where it may come from this address."""
        found = self._owners.get(name.canonicalize())
        return found if found is not None and self._within(found, address) else None

    def may(self, receiver: Receiver, list_id: str) -> bool:
        """Tell whether this receiver may take the zone of a list."""
        return receiver.id in self._may.get(list_id, ())

    def _within(self, receiver: Receiver, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(found in network for network in self._networks[receiver.id])


def audience(settings: Settings, table: List) -> tuple[str, ...]:
    """Return the ids of the receivers that may take this list: those it names, or all where it may go to anybody."""
    if not table.rpz:
        return ()
    if table.rpz_receivers or table.confidential:
        return tuple(item.id for item in settings.dns.transfer.receivers if item.id in table.rpz_receivers)
    return tuple(item.id for item in settings.dns.transfer.receivers)


def read(settings: Settings, owner: int | None = None) -> Receivers:
    """Return the receivers with the keys that lie in their files, which this user, or `owner`, must own.

    Raises ConfigError naming the receiver, never what is in its file.
    """
    return Receivers(settings, dict(_secrets(settings, os.geteuid() if owner is None else owner)))


def _secrets(settings: Settings, owner: int) -> Iterator[tuple[str, bytes]]:
    for item in settings.dns.transfer.receivers:
        key = f"dns.transfer.receivers: {item.id}: secret"
        try:
            text = read_private(item.secret)
            if item.secret.stat().st_uid != owner:
                raise ConfigError(f"{key}: {item.secret} belongs to another user than filterproxy runs as: chown it")
            found = base64.b64decode("".join(text.split()), validate=True)
        except SecretError as exc:
            raise ConfigError(f"{key}: {exc}") from None
        except (binascii.Error, ValueError):
            raise ConfigError(f"{key}: {item.secret} is not a key in base64") from None
        except OSError as exc:
            raise ConfigError(f"{key}: {item.secret}: {exc.strerror or type(exc).__name__}") from None
        if not SHORTEST <= len(found) <= LONGEST:
            raise ConfigError(f"{key}: {item.secret} has {len(found)} bytes; write {SHORTEST} at least")
        yield item.id, found
