"""One question asked of one upstream: what each reply is worth, with ways and cases that only take note."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import wire
from filterproxy.dns.cache import Answer
from filterproxy.dns.upstreams.exchange import FOLDS, Exchange, Peer
from filterproxy.dns.upstreams.message import Question
from tests.dns.fakes import query
from tests.dns.upstreams.peers import FINE, UNREACHED, USELESS, ZONE, Upstream


class Noted:
    """A way and a case at once."""

    def __init__(self) -> None:
        self.asked: list[Exchange] = []
        self.outcomes: list[tuple[Answer | None, float]] = []

    def ask(self, exchange: Exchange) -> None:
        self.asked.append(exchange)

    def tick(self, now: float) -> bool:
        return bool(self.asked)

    def close(self) -> None:
        self.asked.clear()

    def ended(self, exchange: Exchange, answer: Answer | None, now: float) -> None:
        self.outcomes.append((answer, now))


class Bench:
    def __init__(self, *, believed: bool = False, padded: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self.peer = Peer(1, believed=believed, padded=padded, count=lambda name: self.counts.update([name]))
        self.first, self.whole, self.case = Noted(), Noted(), Noted()
        self.peer.first, self.peer.whole = self.first, self.whole

    def begin(self) -> Exchange:
        return Exchange(Question(FINE), self.peer, self.case, 10.0, 12.0)

    def answer(self) -> Answer | None:
        [(answer, _)] = self.case.outcomes
        return answer

    def failure(self) -> tuple[int, int | None]:
        answer = self.answer()
        assert answer is not None
        assert (answer.body, answer.answers) == (b"", 0)
        return answer.rcode, answer.ede


def honest(zone=ZONE) -> bytes:
    return Upstream(zone).honest(query("fine.example"))


def flagged(*, tc: bool = False, rcode: int = 0) -> bytes:
    packet = honest()
    return packet[:2] + bytes([packet[2] | 2 * tc, packet[3] & 0xF0 | rcode]) + packet[4:]


def test_a_good_answer_ends_it():
    """The first word counts; whatever is told later changes nothing."""
    bench = Bench()
    exchange = bench.begin()
    exchange.heard_datagram(honest(), 10.25, exact=True, cut=False)
    exchange.heard(honest(), 10.5, exact=True)
    exchange.missed(12)
    exchange.misheard(13)
    answer = bench.answer()
    assert answer is not None
    assert (answer.answers, answer.ad, exchange.ended) == (1, False, True)


@pytest.mark.parametrize("believed", [True, False])
def test_authentication_is_believed_of_some(believed):
    """AD in the reply, and an upstream that may say so."""
    bench = Bench(believed=believed)
    exchange = bench.begin()
    assert bool(exchange.message(b"\0\0", FINE.question)[3] & wire.AD) is believed
    exchange.heard(honest(), 10.25, exact=True)
    answer = bench.answer()
    assert answer is not None
    assert answer.ad is believed


@pytest.mark.parametrize(("rcode", "told"), [(2, (2, None)), (5, (5, 22)), (4, (4, 22)), (9, (9, 22)), (15, (15, 22))])
def test_a_failure_is_told_as_it_was(rcode, told):
    """SERVFAIL needs no explanation; any other code says that nobody was found who knows (RFC 8914)."""
    bench = Bench()
    bench.begin().heard(flagged(rcode=rcode), 10.25, exact=True)
    assert bench.failure() == told


def test_formerr_is_asked_once_more_without_edns():
    """And what it says then counts."""
    bench = Bench()
    exchange = bench.begin()
    assert exchange.message(b"\0\0", FINE.question)[11] == 1
    exchange.heard_datagram(flagged(rcode=1), 10.1, exact=True, cut=False)
    assert bench.first.asked == [exchange]
    assert exchange.message(b"\0\0", FINE.question)[11] == 0
    exchange.heard_datagram(flagged(rcode=1), 10.2, exact=True, cut=False)
    assert bench.failure() == (1, 22)


@pytest.mark.parametrize(("reply", "exact", "cut"), [(flagged(tc=True), True, False), (honest(), True, True)])
def test_what_was_cut_is_asked_for_whole(reply, exact, cut):
    """By TC, or because more came than we took; cut there too, it is no answer."""
    bench = Bench()
    exchange = bench.begin()
    exchange.heard_datagram(reply, 10.1, exact=exact, cut=cut)
    assert bench.whole.asked == [exchange]
    assert bench.counts == {"dns_upstream_tcp": 1}
    exchange.heard(flagged(tc=True), 10.2, exact=True)
    assert bench.failure() == USELESS


def test_letters_lost_are_counted_only_where_tcp_lost_them_too():
    """Else whoever forges replies could have the letters left out of what he must guess."""
    bench = Bench()
    for number in range(2 * FOLDS):
        exchange = bench.begin()
        exchange.heard_datagram(honest(), 10.1, exact=False, cut=False)
        exchange.heard(honest(), 10.2, exact=number % 2 == 0)
    assert bench.peer.folded == FOLDS
    assert bench.peer.folds
    assert bench.counts == {}
    assert [bool(answer and answer.answers) for answer, _ in bench.case.outcomes] == [True] * 2 * FOLDS


def test_one_that_loses_letters_and_has_no_tcp_is_believed_after_all():
    """Without TCP there is nobody to confirm it; such an upstream serves as it would without random case."""
    bench = Bench()
    for _ in range(FOLDS):
        assert not bench.peer.folds
        exchange = bench.begin()
        exchange.heard_datagram(honest(), 10.1, exact=False, cut=False)
        exchange.missed(12)
        exchange.missed(12)
    assert bench.peer.folded == FOLDS
    assert bench.peer.folds


def test_only_an_answer_to_one_question_shows_how_fast_it_is():
    """An answer after a second question may be one to the first (Karn's rule)."""
    bench = Bench()
    exchange = bench.begin()
    exchange.tries = 2
    exchange.heard_datagram(honest(), 11, exact=True, cut=False)
    assert (bench.peer.health.rtt, bench.peer.health.heard_at) == (None, 11)
    bench.begin().heard_datagram(honest(), 10.5, exact=True, cut=False)
    assert bench.peer.health.rtt == 0.5


def test_who_comes_back_is_told():
    """One that was silent or rested, and says anything, changes the order."""
    bench = Bench()
    told: list[bool] = []
    bench.peer.changed = lambda: told.append(True)
    for word in (Exchange.misheard, Exchange.misheard):
        bench.peer.health.resting = not told
        word(bench.begin(), 10.1)
    assert told == [True]
    assert {(answer.rcode, answer.ede) for answer, _ in bench.case.outcomes if answer} == {USELESS}


def test_nothing_heard_is_no_answer():
    """Not even a failure: it is the case that knows what to say then."""
    bench = Bench()
    bench.begin().missed(12)
    assert bench.answer() is None
    assert UNREACHED != USELESS


@given(st.binary(max_size=120))
def test_any_fitting_reply_ends_it_or_asks_again(rest):
    """Whatever stands behind the question, it is read or refused, and nothing is raised."""
    bench = Bench()
    exchange = bench.begin()
    exchange.heard(b"\0\0\x81\x80\0\1\0\2\0\1\0\1" + FINE.question + rest, 10.1, exact=True)
    assert len(bench.case.outcomes) == 1
