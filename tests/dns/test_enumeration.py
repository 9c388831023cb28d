"""An alarm for who meets many distinct entries in an hour, and for nobody else; in bounded memory."""

from __future__ import annotations

from collections import Counter

import pytest

from filterproxy.core.model import Action, Kind, Listing, Match, Scope
from filterproxy.dns import enumeration
from filterproxy.dns.enumeration import Alarm, Enumeration
from filterproxy.settings.service import Limits
from tests.dns.fakes import Clock

CLIENT = "192.0.2.7"


def match(entry: object, listing: str = "law") -> Match:
    return Match(Listing(listing), Kind.DOMAIN, Scope.TREE, Action.BLOCK, f"{entry}.example")


def pattern(host: str) -> Match:
    return Match(Listing("law"), Kind.PATTERN, Scope.HOST, Action.BLOCK, host)


class World:
    """An alarm bell, and what was told."""

    def __init__(self, **limits: int) -> None:
        self.clock, self.events, self.told = Clock(), Counter[str](), list[Alarm]()
        table = Limits(**{"enumeration": 10, **limits})
        self.bell = Enumeration(table, bytes(32), self.told.append, self._count, self.clock)

    def _count(self, name: str) -> None:
        self.events[name] += 1

    def meet(self, *entries: object, client: str = CLIENT, listing: str = "law") -> int:
        for entry in entries:
            self.bell.meet(client, match(entry, listing))
        return len(self.told)


def test_who_meets_many_distinct_entries_is_told_of_once_an_hour():
    """With the number for each list, and a digest in place of the network."""
    world = World()
    assert world.meet(*range(6)) == 0
    assert world.meet(*range(3), listing="other") == 0
    assert world.meet(9) == 1
    assert world.told[0].entries == {"law": 7, "other": 3}
    assert CLIENT not in repr(world.told)
    assert world.meet(*range(10)) == 1
    assert world.events == {"dns_enumeration": 2}
    world.clock.seconds += 3601
    assert world.meet(*range(9)) == 1
    assert world.meet(*range(9, 11)) == 2
    assert world.told[0].network == world.told[1].network
    assert world.events == {"dns_enumeration": 3}


def test_a_list_of_which_a_few_were_met_on_the_way_is_not_told_of():
    """It would say nothing of that list, and keep silence when more of it is met: a tenth of all is enough."""
    world = World(enumeration=40)
    world.meet(*range(3), listing="other")
    world.meet(*range(4), listing="third")
    assert world.meet(*range(33)) == 1
    assert world.told[0].entries == {"law": 33, "third": 4}
    world.meet(*range(40), listing="other")
    assert world.told[1].entries == {"other": 40}
    for number in range(40):
        world.meet(0, client="192.0.2.9", listing=f"list{number}")
    assert len(world.told[2].entries) == 40


def test_the_same_entries_again_and_again_are_no_enumeration():
    """A page that names a few listed hosts may be opened all day."""
    world = World()
    for _ in range(100):
        assert world.meet(*range(9)) == 0


def test_what_was_met_more_than_an_hour_ago_does_not_count():
    """Nine an hour are never ten."""
    world = World()
    for start in range(0, 90, 9):
        assert world.meet(*range(start, start + 9)) == 0
        world.clock.seconds += 3601
    world.meet(*range(200, 205))
    world.clock.seconds += 1800
    world.meet(*range(205, 209))
    world.clock.seconds += 1801  # the first five are forgotten
    assert world.meet(*range(209, 214)) == 0
    assert world.meet(214) == 1


@pytest.mark.parametrize(("clients", "alarms"), [
    (["2001:db8::1", "2001:db8:0:ff::1"], 1),
    (["2001:db8::1", "2001:db8:0:100::1"], 0),
    (["192.0.2.1", "192.0.2.2"], 0),
])  # fmt: skip
def test_a_network_is_one_client(clients, alarms):
    """All addresses of an IPv6 customer count together."""
    world = World()
    for number in range(10):
        world.meet(number, client=clients[number % 2])
    assert len(world.told) == alarms


def test_a_busy_network_takes_no_alarm_from_another():
    """However many it raises: of each list once within an hour, and the next network is told of."""
    world = World()
    assert world.meet(*range(1000)) == 1
    assert world.events["dns_enumeration"] == 100
    assert world.meet(*range(1000), listing="other") == 2
    assert world.told[1].entries == {"other": 10}
    assert world.meet(*range(10), client="192.0.2.8") == 3
    assert len({alarm.network for alarm in world.told}) == 2
    world.clock.seconds += 3601
    assert world.meet(*range(1000)) == 4
    assert len(world.bell._told) == 1


def test_hosts_without_end_that_a_pattern_finds_below_one_name_are_one_entry():
    """A tracker has another host for each of its visitors; who goes through many names meets each of them."""
    world = World()
    for number in range(100):
        world.bell.meet(CLIENT, pattern(f"ad{number}.tracker.example"))
        world.bell.meet(CLIENT, pattern(f"x.ad{number}.tracker.example"))
    assert not world.told
    for number in range(9):
        world.bell.meet(CLIENT, pattern(f"ad.tracker{number}.example"))
    assert len(world.told) == 1


@pytest.mark.parametrize("limits", [{"enumeration": 0}, {}])
def test_where_no_alarm_is_wanted_or_nobody_elses_list_is_met_none_is_raised(limits):
    """A subscriber's own entries are no secret to him, canaries are asked for by ourselves."""
    world = World(**limits)
    listings = ("profile:kids", "canary:law") if not limits else ("law",)
    for listing in listings:
        assert world.meet(*range(50), listing=listing) == 0


def test_memory_is_bounded_and_inventing_networks_hides_nobody(monkeypatch):
    """Networks and entries without end; who has met more than they did is noticed all the same."""
    monkeypatch.setattr(enumeration, "MARKS", 1000)
    monkeypatch.setattr(enumeration, "NETWORKS", 300)
    world = World()
    world.meet(0, 1)
    for number in range(2, 9):
        world.meet(number)  # one more than anybody who is invented meanwhile
        for other in range(2000):
            world.meet(other % 2, client=f"198.18.{number}.{other % 250}")
            world.meet(other, client=f"10.{number}.{other >> 8}.{other & 255}")
            assert len(world.bell._met) <= 300
            assert world.bell._marks == sum(map(len, world.bell._met.values())) <= 1000
    assert world.meet(9) == 1


def test_alarms_without_end_are_counted_and_few_are_told():
    """Who sends blocks in the name of many networks fills no mailbox."""
    world = World()
    for number in range(100):
        world.meet(*range(10), client=f"10.0.0.{number}")
    assert len(world.told) == enumeration.ALARMS
    assert world.events["dns_enumeration"] == 100
    world.clock.seconds += 3601
    assert world.meet(*range(10)) == enumeration.ALARMS + 1
