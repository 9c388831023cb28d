"""Replies that were given, to be given again: by the whole packet first, then by what the reply depends on.

A client's stub asks the same in the same words, so most questions are answered by one look-up of the packet less its
id. A reply is kept for one profile and one generation of the lists, no longer than its verdict and its records hold.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from filterproxy.core.bundle import Findings
from filterproxy.core.names import MAX_HOST

from . import usual
from .names import FIRST

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_PACKET: Final = 512
"""Bytes of the longest query that is remembered as a whole."""
ENTRIES: Final = 131_072
"""Packets and replies that are remembered at once, for all profiles together."""
BYTES: Final = 16 * 1024 * 1024
"""Bytes that these hold at most."""


MET: Final = 16_384
"""Names of which it is known that they were asked for, for each profile, though not what they were told."""
NOTHING: Final = Findings.of({}, inherited=False)

Given = tuple[float, bytes, int, "Template"]
"""A reply less its id: until when it may be given, the reply, what it counts, and from what it was made.

A tuple of no class of its own, for the interpreter takes those apart several times faster.
"""


class Kin(NamedTuple):
    """Names right below one `parent` of which the lists say no more than of that: `findings`, of every one of them."""

    parent: str
    findings: Findings

    def holds(self, label: bytes, host: Callable[[str], Findings]) -> bool:
        """Tell whether the name of that first `label`, in lower case, is one; `host` says what is found of a host."""
        if not FIRST.fullmatch(label) or len(label) + 1 + len(self.parent) > MAX_HOST:
            return False
        return host(f"{label.decode()}.{self.parent}") is self.findings


class Template:
    """A reply without id and question. Its TTLs sink with every second from `born` on; times are those of one clock."""

    __slots__ = ("_age", "_born", "_rest", "_ttl_at", "_turns", "cell", "head", "kin", "until")

    def __init__(
        self,
        head: bytes,
        rest: bytes,
        *,
        cell: int,
        until: float,
        ttl_at: tuple[int, ...] = (),
        born: float = 0.0,
        age: int = 0,
        kin: Kin | None = None,
    ) -> None:
        """Keep a reply that may be given before `until`.

        `head` are the 10 bytes behind the id; `rest` is what follows the question, with the TTLs at `ttl_at` as they
        are `age` seconds after `born`. `cell` counts the verdict; its complement (`~`) also an answer from the cache.
        `kin` are the other names that get it too.
        """
        self.head, self.cell, self.until, self.kin = head, cell, until, kin
        self._rest, self._ttl_at, self._born, self._age = rest, ttl_at, born, age
        self._turns = born + age + 1 if ttl_at else inf

    def given(self, question: bytes, now: float) -> Given:
        """Return the reply to `question` as it is `now`, before `until`."""
        if now >= self._turns:
            self._sink(int(now - self._born))
        return min(self.until, self._turns), self.head + question + self._rest, self.cell, self

    def given_before(self, given: Given, now: float) -> Given:
        """Return what `given` has become."""
        reply = given[1]
        return self.given(reply[len(self.head) : len(reply) - len(self._rest)], now)

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return len(self.head) + len(self._rest)

    def _sink(self, age: int) -> None:
        rest, more = self._rest, age - self._age
        for at in self._ttl_at:
            left = max(0, int.from_bytes(rest[at : at + 4]) - more)
            rest = rest[:at] + left.to_bytes(4) + rest[at + 4 :]
        self._rest, self._age, self._turns = rest, age, self._born + age + 1


class Memo:
    """What one profile was told. Made by `Memos`, which bounds all of them together."""

    __slots__ = ("_all", "_kin", "_met", "_old", "_old_templates", "_templates", "young")

    def __init__(self, every: Memos) -> None:
        self._all = every
        self.young: dict[bytes, Given] = {}
        """Replies by the packet less its id; read it directly, and `again` where it holds none that still counts."""
        self._old: dict[bytes, Given] = {}
        self._templates: dict[bytes, Template] = {}
        self._old_templates: dict[bytes, Template] = {}
        self._kin: dict[bytes, Template] = {}
        self._met: set[int] = set()

    def again(self, packet: bytes, now: float) -> Given | None:
        """Return the reply to `packet`, which is less its id, where one is known that may be given `now`."""
        given = self.young.get(packet) or self._old.get(packet)
        if given is not None:
            if now >= given[0] and now < given[3].until:
                given = given[3].given_before(given, now)
            if now < given[0]:
                self._keep(packet, given)
                return given
        found = usual.key(packet)
        if found is None:
            return None
        key, length = found
        template = self._templates.get(key)
        if template is None:
            template = self._old_templates.get(key)
            if template is None:
                return self._given_to_kin(packet, key, length, now)
            self._add(key, template)
        if now >= template.until:
            return None
        given = template.given(packet[10 : 10 + length], now)
        self._keep(packet, given)
        return given

    def learn(self, packet: bytes, template: Template, now: float) -> None:
        """Remember the reply that was given to `packet`, which is less its id."""
        found = usual.key(packet)
        if found is None or now >= template.until:
            return
        key, length = found
        self._add(key, template)
        if template.kin is not None:
            self._all.room_for(len(key))
            self._kin[key[1 + key[0] :]] = template
        self._keep(packet, template.given(packet[10 : 10 + length], now))

    def _given_to_kin(self, packet: bytes, key: bytes, length: int, now: float) -> Given | None:
        """Return the reply that a name gets as all do below its parent, where that is so; it was never asked for.

        It is remembered when it is asked for again: of a flood of invented names none ever is.
        """
        first = key[0] + 1
        template = self._kin.get(key[first:])
        if template is None or template.kin is None or not template.kin.holds(key[1:first], self._all.host):
            return None
        given = template.given(packet[10 : 10 + length], now)
        mark = hash(key)
        if mark in self._met:
            self._add(key, template)
            self._keep(packet, given)
        elif len(self._met) < MET:
            self._met.add(mark)
        else:
            self._met = {mark}
        return given

    def turn(self) -> None:
        """Forget what was not asked for since the last turn."""
        self._old, self.young = self.young, {}
        self._old_templates, self._templates = self._templates, {}
        self._kin = {}

    def _add(self, key: bytes, template: Template) -> None:
        if key not in self._templates:
            self._all.room_for(len(key) + template.size)
        self._templates[key] = template

    def _keep(self, packet: bytes, given: Given) -> None:
        if len(packet) <= LONGEST_PACKET:
            if packet not in self.young:
                self._all.room_for(len(packet) + len(given[1]))
            self.young[packet] = given


class Memos:
    """The memos of all profiles under one policy, bounded together."""

    def __init__(
        self, entries: int = ENTRIES, size: int = BYTES, host: Callable[[str], Findings] = lambda _: NOTHING
    ) -> None:
        """`host` says what is found of a host under this policy."""
        self.host = host
        self._most, self._budget = entries // 2, size // 2
        self._count = self._bytes = 0
        self._of: dict[str, Memo] = {}

    def of(self, profile: str) -> Memo:
        """Return the memo of a profile."""
        found = self._of.get(profile)
        if found is None:
            found = self._of[profile] = Memo(self)
        return found

    def room_for(self, size: int) -> None:
        """Account for one more thing of `size` bytes; what was used longest ago leaves where there is no room."""
        if self._count >= self._most or self._bytes + size > self._budget:
            self._count = self._bytes = 0
            for memo in self._of.values():
                memo.turn()
        self._count += 1
        self._bytes += size
