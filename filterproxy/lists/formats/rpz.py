"""Response policy zones, as master files (draft-vixie-dnsop-dns-rpz-00): what a zone says of query names.

`x` is EXACT and `*.x` BELOW. A CNAME to `.` (NXDOMAIN), `*.` (NODATA) or `rpz-drop.` blocks; to `rpz-passthru.`, or in
the old manner to the name itself, allows. TCP-only, local data and triggers other than query names are understood and
not enforced.

An owner is relative to the zone, whose name the owner of its SOA gives, or `$ORIGIN` where there is no SOA before. An
absolute owner outside the zone is a bad line: BIND ignores it as out of zone, Unbound refuses the whole zone. So is one
in a file that does not name its zone: only the server that loads it would know what it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from filterproxy.core.model import Action, BadLine, Entry, Item, Scope, Unenforceable
from filterproxy.core.names import is_address

from .lines import Options
from .names import named
from .zonefile import Name, Record, name_of, records

_ROOT = Name((), absolute=True)
_APEX = Name((), absolute=False)
_ACTIONS = {
    _ROOT: Action.BLOCK,
    Name(("*",), absolute=True): Action.BLOCK,
    Name(("rpz-drop",), absolute=True): Action.BLOCK,
    Name(("rpz-passthru",), absolute=True): Action.ALLOW,
}
_AS_WRITTEN = {".": Action.BLOCK, "*.": Action.BLOCK, "rpz-drop.": Action.BLOCK, "rpz-passthru.": Action.ALLOW}
"""What nearly every target is."""
_TCP_ONLY = Name(("rpz-tcp-only",), absolute=True)

_TTL = re.compile(r"\d+|(?:\d+[SMHDW])+\d*", re.IGNORECASE)
_TYPE = re.compile(r"TYPE\d{1,5}")
_OTHER_CLASSES = frozenset({"CH", "CS", "HS"})
_OF_THE_ZONE = frozenset({"NS", "SOA"})
_OF_DNSSEC = frozenset({"CDNSKEY", "CDS", "DNSKEY", "DS", "NSEC", "NSEC3", "NSEC3PARAM", "RRSIG", "ZONEMD"})
_TYPES = _OF_THE_ZONE | _OF_DNSSEC | frozenset({
    "A", "AAAA", "AFSDB", "APL", "CAA", "CERT", "CNAME", "CSYNC", "DHCID", "DNAME", "HINFO", "HTTPS", "KEY", "LOC",
    "MX", "NAPTR", "OPENPGPKEY", "PTR", "RP", "SMIMEA", "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT", "URI",
})  # fmt: skip


def parse(lines: Iterable[bytes], options: Options) -> Iterator[Item]:
    """Yield what each record says of a query name, and a bad line for what is no record."""
    zone = _Zone(options)
    for record in records(lines, options):
        item = zone.forget(record) if isinstance(record, BadLine) else zone.said(record)
        if item is not None:
            yield item


class _Zone:
    """What holds from one record to the next: the zone's apex, the origin, the last owner."""

    def __init__(self, options: Options) -> None:
        """Nothing is known of the zone."""
        self._options = options
        self._apex: tuple[str, ...] | None = None
        self._begun = False
        self._origin: Name | None = _APEX
        self._owner: Name | None = None

    def forget(self, bad: BadLine) -> BadLine:
        """Return the bad line; who would have owned the next record is not known."""
        self._owner = None
        return bad

    def said(self, record: Record) -> Item | None:
        """Return what a record says, or None where it says nothing of a query name."""
        if record.owned and record.fields[0].startswith("$"):
            return self._control(record)
        fields = record.fields
        if record.owned:
            self._owner = self._name(fields[0])
            fields = fields[1:]
        if self._owner is None:
            return self._bad(record, "an owner that is no name" if record.owned else "no owner")
        rtype, data = _typed(fields)
        if rtype not in _TYPES and not _TYPE.fullmatch(rtype):
            return self._bad(record, "not a record of the class IN" if rtype in _OTHER_CLASSES else "not a record")
        if rtype == "SOA":
            return self._begin(record, self._owner)
        trigger = self._trigger(self._owner)
        if trigger is None:
            reason = (
                "an absolute name, and the file does not say which zone it is" if self._apex is None else "out of zone"
            )
            return self._bad(record, reason)
        return self._rule(record, trigger, rtype, data)

    def _control(self, record: Record) -> Item | None:
        word, *rest = record.fields
        word = word.upper()
        if word in ("$INCLUDE", "$GENERATE"):
            return self._options.unenforceable(record.line, f"{word} is not followed", record.text.strip())
        if word == "$TTL" and len(rest) == 1 and _TTL.fullmatch(rest[0]):
            return None
        if word != "$ORIGIN":
            return self._bad(record, "not a control entry")
        self._origin = self._name(rest[0]) if len(rest) == 1 else None
        if self._origin is None:  # whatever follows would be relative to it
            return self._bad(record, "an origin that is no name")
        if self._apex is None and not self._begun and self._origin.absolute and self._origin.labels:
            self._apex = self._origin.labels
        return None

    def _begin(self, record: Record, owner: Name) -> BadLine | None:
        if owner.absolute and not self._begun:
            self._apex = owner.labels
        self._begun = True
        return self._bad(record, "an SOA below the apex of its zone") if self._trigger(owner) != () else None

    def _rule(self, record: Record, trigger: tuple[str, ...], rtype: str, data: list[str]) -> Item | None:
        if rtype in _OF_DNSSEC or (not trigger and rtype != "CNAME"):
            return None
        below = trigger[:1] == ("*",)
        name = trigger[1:] if below else trigger
        if not name:
            return self._bad(record, "a rule for every name")
        if name[-1].startswith("rpz-"):
            return self._unenforceable(record, f"a trigger of the kind {name[-1][:20]}")
        if rtype != "CNAME":
            return self._unenforceable(record, "local data")
        action = _AS_WRITTEN.get(data[0]) if len(data) == 1 else None
        if action is None:
            target = self._name(data[0]) if len(data) == 1 else None
            if target is None:
                return self._bad(record, "a CNAME without its one target")
            action = Action.ALLOW if target == Name(trigger, absolute=True) and not below else _ACTIONS.get(target)
            if action is None:
                return self._unenforceable(record, "TCP only" if target == _TCP_ONLY else "local data")
        return self._entry(record, ".".join(name), Scope.BELOW if below else Scope.EXACT, action)

    def _entry(self, record: Record, name: str, scope: Scope, action: Action) -> Entry | BadLine:
        entry = named(name, scope, record.line, self._options, whole=record.text.strip(), action=action)
        if isinstance(entry, Entry) and is_address(entry.value):
            return self._bad(record, "an address, which is no query name")
        return entry

    def _name(self, field: str) -> Name | None:
        """Return the name that a field means, or None."""
        name = self._origin if field == "@" else name_of(field)
        if name is None or name.absolute or field == "@":
            return name
        return self._origin and Name(name.labels + self._origin.labels, self._origin.absolute)

    def _trigger(self, name: Name) -> tuple[str, ...] | None:
        """Return a name as the zone sees it, without the apex; None where it lies outside."""
        if not name.absolute:
            return name.labels
        above = len(name.labels) - len(self._apex or ())
        if self._apex is None or above < 0 or name.labels[above:] != self._apex:
            return None
        return name.labels[:above]

    def _bad(self, record: Record, reason: str) -> BadLine:
        return self._options.bad(record.line, reason, record.text.strip())

    def _unenforceable(self, record: Record, reason: str) -> Unenforceable:
        return self._options.unenforceable(record.line, reason, record.text.strip())


def _typed(fields: list[str]) -> tuple[str, list[str]]:
    """Return type and data behind the TTL and class, which may stand in either order; the type is empty if none is."""
    if len(fields) == 2 and fields[0] == "CNAME":  # nearly every record
        return fields[0], fields[1:]
    ttl = in_class = False
    for at, field in enumerate(fields[:3]):
        if not ttl and _TTL.fullmatch(field):
            ttl = True
        elif not in_class and field.upper() == "IN":
            in_class = True
        else:
            return field.upper(), fields[at + 1 :]
    return "", []
