"""What is asked of each list in a self-test, and what must come back.

Blocked must be what is listed, in every spelling, with the answer that the list's settings ask for; nothing beside it
may be. What could not be asked is told as that, with the reason, and never as passed.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import datetime

from filterproxy.core.bundle import CANARY
from filterproxy.core.decide import decide
from filterproxy.core.model import Action, Https, ListFormat, Question
from filterproxy.lists.canaries import blocks_spared, canaried, canaries_of, name_of
from filterproxy.settings.lists import List

from .selftest_product import Counted, Door, Product
from .selftest_record import Check, Outcome
from .selftest_wire import DnsReply, HttpReply, ask_dns, blocked_dns, connect, get, http_words

_LISTED = "what it lists is blocked"
_SPARED = "no list answers"
_NAMING = ", naming the list"


def checks(product: Product, table: List) -> list[Check]:
    """Return every check of one list."""
    if table.licence_until is not None and product.now.date() > table.licence_until:
        gone = product.loaded_at(table.id) is None
        seen = "not in force" if gone else "in force"
        return [Check("it is wiped: its licence has ended", "bundle", "not in force", seen, _outcome(gone))]
    found = list(_standing(product, table))
    if reason := _why_not(product, table):
        return [*found, _unasked(_LISTED, "all", reason)]
    trial, before = _Trial(product, table), product.counted()
    trial.ask()
    return [*found, *trial.found, *trial.answered_for(before, product.counted())]


def _standing(product: Product, table: List) -> Iterator[Check]:
    """Yield whether the list is in force, young enough, and was last read with success."""
    loaded, most = product.loaded_at(table.id), table.max_age
    young = loaded is not None and (most is None or product.now - loaded < most)
    expected = "in force" if most is None else f"in force, read within {int(most.total_seconds())} s"
    yield Check("it is in force and fresh", "bundle", expected, _age(loaded, product.now), _outcome(young))
    if (row := product.lists.get(table.id)) is None:
        yield _unasked("its last reading went well", "control socket", "no control process runs here")
    else:
        yield Check("its last reading went well", "control socket", "ok", row["state"], _outcome(row["state"] == "ok"))


def _why_not(product: Product, table: List) -> str:
    if table.format is ListFormat.HASHES:
        return "hashes are kept, and nothing is judged by them yet"
    if table not in canaried(product.settings, product.now):
        return "there are more lists than canaries are made for"
    if not product.has_canaries(table.id):
        return "the bundle in force has no canaries of it"
    return ""


def _age(loaded: datetime | None, now: datetime) -> str:
    return "never read" if loaded is None else f"in force, read {max(0, int((now - loaded).total_seconds()))} s ago"


def _outcome(well: bool) -> Outcome:
    return "passed" if well else "failed"


def _unasked(check: str, how: str, reason: str) -> Check:
    return Check(check, how, "", "", "not asked", reason)


class _Trial:
    """The canaries of one list before the running product."""

    def __init__(self, product: Product, table: List) -> None:
        self._product, self._table, self._listing = product, table, table.listing
        self._key = product.policy.bundle.key
        self._canaries = canaries_of(table, self._key)
        self._answers = {"dns": 0, "http": 0}
        """How often the list answered, by frontend: as often at least it must have been counted."""
        self.found: list[Check] = []

    def ask(self) -> None:
        """Ask everything."""
        for door in (self._product.dns, self._product.http):
            if reason := door.shut_to(self._listing, self._product.policy):
                self._skip(_LISTED, door.name, reason)
            elif self._canaries.spares:
                self._spared_from_others(door)
            elif door.name == "dns":
                self._names_by_dns(door)
            else:
                self._by_http(door.addresses[0])

    def answered_for(self, before: Counted, after: Counted) -> Iterator[Check]:
        """Yield whether what was blocked is counted as this list's canaries': so it was this list that answered."""
        for frontend, number in self._answers.items():
            if number:
                rows = [row for row in after if row[:2] == (f"{CANARY}{self._table.id}", frontend)]
                seen = sum(after[row] - before.get(row, 0) for row in rows)
                yield Check(
                    "this list is what answered", f"{frontend} counters", f"{number} or more", str(seen),
                    _outcome(seen >= number),
                )  # fmt: skip

    # DNS

    def _names_by_dns(self, door: Door) -> None:
        name, first = self._canaries.name, door.addresses[0]
        if self._canaries.page and self._listing.https is Https.BLOCK_HOST:
            host = self._canaries.page.partition("/")[0]
            self._blocked_dns(
                "the host of a page is blocked", f"dns udp {first} A", host, "A", ask_dns(first, host, "A")
            )
        elif not name:
            what = "words are" if self._canaries.term else "the path of a page is"
            self._skip(_LISTED, "dns", f"{what} not seen in DNS")
        if not name:
            return
        for address in door.addresses:
            for tcp in (False, True):
                how = f"dns {'tcp' if tcp else 'udp'} {address} A"
                self._blocked_dns(_LISTED, how, name, "A", ask_dns(address, name, "A", tcp=tcp))
        self._blocked_dns(_LISTED, f"dns udp {first} AAAA", name, "AAAA", ask_dns(first, name, "AAAA"))
        shouted = ask_dns(first, name.upper(), "A")
        self._blocked_dns("in capitals too", f"dns udp {first} A", name, "A", shouted)
        below = f"below.{name}"
        if self._canaries.whole:
            self._blocked_dns(
                "what is below it is blocked", f"dns udp {first} A", below, "A", ask_dns(first, below, "A")
            )
        else:
            self._spared_dns("what is below it is not blocked", first, below)
        self._spared_dns("another name is not blocked", first, name_of(self._table.id, "sibling", self._key))
        if self._canaries.excepted:
            self._spared_dns("what it excepts is not blocked", first, self._canaries.excepted)

    def _blocked_dns(self, check: str, how: str, name: str, rtype: str, reply: DnsReply) -> None:
        policy = self._product.policy
        match = decide(Question(self._product.dns.profile, name, rtype), policy, self._product.now).match
        below = self._canaries.whole if match is None else match.covers_below
        wanted = blocked_dns(self._listing, rtype, self._product.settings.dns.notice_addresses, below=below)
        self._answers["dns"] += reply.judged
        self._note(check, how, wanted, reply.said, well=reply.said == wanted)

    def _spared_dns(self, check: str, address: str, name: str) -> None:
        reply = ask_dns(address, name, "A")
        self._note(check, f"dns udp {address} A", _SPARED, reply.said, well=reply.came and not reply.judged)

    # HTTP

    def _by_http(self, proxy: str) -> None:
        if self._canaries.term:
            self._words(proxy)
        if name := self._canaries.name:
            self._notice(_LISTED, "http", get(proxy, f"http://{name}/"))
            self._notice("in capitals, with a dot at its end", "http", get(proxy, f"http://{name.upper()}./a?b"))
            self._notice(_LISTED, "connect", connect(proxy, name))
            self._spared_http("another name is not blocked", proxy, f"{name_of(self._table.id, 'sibling', self._key)}/")
        if page := self._canaries.page:
            self._pages(proxy, page)

    def _pages(self, proxy: str, page: str) -> None:
        host, _, path = page.partition("/")
        self._notice(_LISTED, "http", get(proxy, f"http://{page}"))
        for check, spelled in (
            ("with a query", f"{page}?a=b"),
            ("in capitals, with a dot at its host's end", f"{host.upper()}./{path}"),
            ("with escapes", f"{host}/{''.join(f'%{ord(char):02x}' for char in path)}"),
            ("by way of other directories", f"{host}//a/./../{path}"),
        ):
            self._notice(f"{_LISTED}, {check}", "http", get(proxy, f"http://{spelled}"))
        if self._listing.www:
            self._notice(f"{_LISTED}, with www.", "http", get(proxy, f"http://www.{page}"))
        self._spared_http("another page of its host is not blocked", proxy, f"{host}/{path}x")
        self._page_by_https(proxy, host, f"/{path}")

    def _page_by_https(self, proxy: str, host: str, path: str) -> None:
        tls = self._product.settings.inspection.tls
        if self._listing.https is Https.BLOCK_HOST:
            self._notice("over https its host is blocked", "connect", connect(proxy, host))
        elif tls == "all" or (tls == "listed" and self._listing.https is Https.INSPECT):
            authority = self._product.settings.runtime.state / "ca" / "mitmproxy-ca-cert.pem"
            self._notice(f"{_LISTED}, over https", "https", connect(proxy, host, path, authority))
        else:
            self._skip(f"{_LISTED}, over https", "https", "as configured, https passes: only its host is seen")

    def _notice(self, check: str, how: str, reply: HttpReply) -> None:
        self._answers["http"] += reply.judged
        title = "" if self._listing.confidential else self._listing.title
        names = _NAMING if title and title in html.unescape(reply.body) else ""
        wanted = http_words(self._listing.http_status, notice=True) + (_NAMING if title else "")
        self._note(check, how, wanted, reply.said + names, well=reply.said + names == wanted)

    def _spared_http(self, check: str, proxy: str, rest: str) -> None:
        reply = get(proxy, f"http://{rest}")
        if not reply.status:
            self._skip(check, "http", f"{reply.said}: the host, which nobody has, was not looked up in time")
        else:
            self._note(check, "http", _SPARED, reply.said, well=not reply.judged)

    # Words

    def _words(self, proxy: str) -> None:
        term, host = self._canaries.term, name_of(self._table.id, "host", self._key)
        for check, rest in (
            ("the word acts", f"{host}/a/{term}"),
            ("in capitals", f"{host}/{term.upper()}?b"),
            ("with escapes, in the query", f"{host}/?q=%{ord(term[0]):02x}{term[1:]}"),
        ):
            self._word(check, proxy, rest, acts=True)
        self._word("inside another word it does not", proxy, f"{host}/x{term}", acts=False)

    def _word(self, check: str, proxy: str, rest: str, *, acts: bool) -> None:
        if self._listing.action is Action.FLAG:
            self._flagged(check, proxy, rest, acts=acts)
        elif not acts:
            self._spared_http(check, proxy, rest)
        elif self._listing.action is Action.WARN:
            reply, wanted = get(proxy, f"http://{rest}"), http_words(403, warning=True)
            self._answers["http"] += reply.judged
            self._note(check, "http", wanted, reply.said, well=reply.said == wanted)
        else:
            self._notice(check, "http", get(proxy, f"http://{rest}"))

    def _flagged(self, check: str, proxy: str, rest: str, *, acts: bool) -> None:
        """Ask what is only counted: the counter is what shows it."""
        row = (f"{CANARY}{self._table.id}", "http", Action.FLAG.value)
        before = self._product.counted().get(row, 0)
        reply = get(proxy, f"http://{rest}")
        seen = self._product.counted().get(row, 0) - before
        wanted = f"{_SPARED}, flagged {int(acts)} times"
        said = f"{'a list answers' if reply.judged else _SPARED}, flagged {seen} times"
        self._note(check, "http, counters", wanted, said, well=said == wanted)

    # Lists that allow

    def _spared_from_others(self, door: Door) -> None:
        """Ask for what other lists' canaries hold and this list spares."""
        check, policy = "what it lists is spared from others", self._product.policy
        profile = policy.view(door.profile).profile
        others = [
            table.id for table in canaried(self._product.settings, self._product.now)
            if blocks_spared(table, canaries_of(table, self._key)) and profile.subscribes(table.listing)
            and self._product.has_canaries(table.id)
        ]  # fmt: skip
        name, rest = self._canaries.name, self._canaries.name or self._canaries.page
        if not others:
            self._skip(check, door.name, "this profile has no list of names that it could spare from")
        elif door.name == "http":
            self._spared_http(check, door.addresses[0], rest if "/" in rest else f"{rest}/")
        elif name:
            match = decide(Question(door.profile, name, "A"), policy, self._product.now)
            spares = match.spared_by.listing.id if match.spared_by else "none"
            wanted = f"{CANARY}{self._table.id}"
            self._note("it is what spares it", "bundle", wanted, spares, well=spares == wanted)
            self._spared_dns(check, door.addresses[0], name)
        else:
            self._skip(check, door.name, "the path of a page is not seen in DNS")

    def _note(self, check: str, how: str, expected: str, observed: str, *, well: bool) -> None:
        self.found.append(Check(check, how, expected, observed, _outcome(well)))

    def _skip(self, check: str, how: str, reason: str) -> None:
        self.found.append(_unasked(check, how, reason))
