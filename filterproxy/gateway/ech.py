"""Encrypted ClientHello (RFC 9849): what a client offers in clear, and the configurations that servers publish.

Nobody can tell by the extension alone whether it hides a hello or is GREASE: GREASE is made to look alike (section
6.2.1), with a random `config_id`, a random key of the right length, and random bytes in the place of the hello. Its
hello is the whole one, and the name in it is the name that is visited. What more can be known comes from elsewhere:

- A real offer fits a configuration that the server published, most often in the HTTPS record of the hidden name.
  GREASE fits one of n identifiers by chance n times in 256.
- Beside a real offer stands the configuration's `public_name` (section 6.1, rule 5). It is but a SHOULD, and servers
  need not look (section 7.1): another name does not show that an offer is GREASE.
- So an offer that fits, beside the public name, is real but for a visit to the public name itself; one that fits beside
  another name is chance or evasion; one that fits nothing we know is GREASE, as far as we know. For a configuration may
  have come past our DNS: from another resolver, from a cache, or within a handshake (`retry_configs`, section 6.1.6).
  The public names of known configurations outlast their identifiers, and are worth a look by themselves. And where
  identifiers are to be ignored, they are random in real offers too (section 10.4).
- A second hello, after a HelloRetryRequest, gives it away: GREASE comes again as it was, a real offer has an empty key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from filterproxy.core import names

from .vectors import UnreadableError, Vectors

VERSION: Final = 0xFE0D
"""Of a configuration, and the type of the extension: the one version that ever was more than a draft."""

_OUTER, _INNER = 0, 1
_MANDATORY: Final = 0x8000
_KEYS: Final = {0x0010: 65, 0x0011: 97, 0x0012: 133, 0x0020: 32, 0x0021: 56}
"""Bytes of an encapsulated key by KEM (RFC 9180, section 7.1)."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the extension in an outer hello says (section 5); lengths in bytes. `key` is 0 in a second hello."""

    config_id: int
    kdf: int
    aead: int
    key: int
    payload: int


@dataclass(frozen=True, slots=True)
class EchConfig:
    """What a server publishes (section 4). `public_name` is a canonical host, and no address."""

    config_id: int
    public_name: str = field(repr=False)
    kem: int
    suites: tuple[tuple[int, int], ...]
    """Pairs of KDF and AEAD."""

    def fits(self, offer: Offer) -> bool:
        """Tell whether `offer` can have been made with this; one that is GREASE fits by chance once in 256 times."""
        return (
            offer.config_id == self.config_id
            and (offer.kdf, offer.aead) in self.suites
            and offer.key in {0, _KEYS.get(self.kem, offer.key)}
        )


def offered(data: bytes) -> Offer | None:
    """Return what the extension of a hello offers; None where it calls itself an inner one, and so hides nothing.

    Servers that know the extension refuse an inner hello that was not hidden (section 7); others do not look.
    Raises UnreadableError for what is neither.
    """
    block = Vectors(data)
    kind = block.number(1)
    if kind == _INNER:
        block.end()
        return None
    if kind != _OUTER:
        raise UnreadableError("an encrypted hello of an unknown kind")
    kdf, aead, config_id = block.number(2), block.number(2), block.number(1)
    key, payload = len(block.vector(2)), len(block.vector(2, 1))
    block.end()
    return Offer(config_id, kdf, aead, key, payload)


def configs(data: bytes) -> tuple[EchConfig, ...]:
    """Return the configurations in an ECHConfigList, as it stands in an HTTPS record (RFC 9848), in its order.

    Those that clients ignore are left out: of another version, with an extension that is mandatory (there is none yet),
    with a public name that is no host name (sections 4, 4.2 and 6.1.7). Raises UnreadableError where it is no list.
    """
    block = Vectors(data)
    entries = Vectors(block.vector(2, 4))
    block.end()
    found = []
    while entries.left:
        version, contents = entries.number(2), entries.vector(2)
        if version == VERSION and (config := _config(Vectors(contents))) is not None:
            found.append(config)
    return tuple(found)


def _config(block: Vectors) -> EchConfig | None:
    config_id, kem = block.number(1), block.number(2)
    block.vector(2, 1)  # the key
    pairs = Vectors(block.vector(2, 4))
    suites = []
    while pairs.left:
        suites.append((pairs.number(2), pairs.number(2)))
    block.number(1)  # the longest name behind it
    name = block.vector(1, 1)
    extensions, kinds = Vectors(block.vector(2)), set[int]()
    block.end()
    while extensions.left:
        kind = extensions.number(2)
        extensions.vector(2)
        if kind in kinds:
            raise UnreadableError("an extension that comes twice")
        kinds.add(kind)
    public_name = names.host(name.decode("latin-1")) if name.isascii() else None
    if public_name is None or names.is_address(public_name) or any(kind & _MANDATORY for kind in kinds):
        return None
    return EchConfig(config_id, public_name, kem, tuple(suites))
