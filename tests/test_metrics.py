"""What Prometheus reads: names that stay, values that are what was counted, and nothing about anybody."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from filterproxy.metrics import GAUGES, ListState, ProcessState, Snapshot, ZoneState, exposition


def samples(snapshot):
    """Return every sample of an exposition as Prometheus reads it."""
    kind, body = exposition(lambda: snapshot)()
    assert kind.startswith("text/plain")
    families = text_string_to_metric_families(body.decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


EMPTY = Snapshot(version="1.2", now=100.0, events={}, verdicts={}, generation=0)


def test_counts_are_exposed_as_they_were_counted():
    """Events and verdicts keep their numbers and their labels."""
    found = samples(
        Snapshot("1.2", 100.0, {"dns_queries": 5}, {("court", "dns", "block"): 3}, generation=7, gauges={"store_up": 1})
    )
    assert found["filterproxy_events_total", ("event", "dns_queries")] == 5
    assert found["filterproxy_verdicts_total", ("action", "block"), ("frontend", "dns"), ("list", "court")] == 3
    assert found["filterproxy_bundle_generation",] == 7
    assert found["filterproxy_build_info", ("version", "1.2")] == 1
    assert found["filterproxy_store_up",] == 1


def test_a_process_that_is_down_has_no_age():
    """An uptime is only told of what is up."""
    down, up = ProcessState("edge-0", False, 2, 0.0, 0), ProcessState("control", True, 0, 40.0, 3)
    found = samples(Snapshot("1", 100.0, {}, {}, 3, processes=[down, up]))
    assert found["filterproxy_process_up", ("process", "edge-0")] == 0
    assert found["filterproxy_process_restarts_total", ("process", "edge-0")] == 2
    assert found["filterproxy_process_uptime_seconds", ("process", "edge-0")] == 0
    assert found["filterproxy_process_uptime_seconds", ("process", "control")] == 60


def test_a_list_that_never_loaded_has_no_age_and_is_stale():
    """No age is invented; a clock that was set back makes none negative."""
    never = ListState("court", 0, None, 4, stale=True)
    ahead = ListState("school", 12, 130.0, 0, stale=False)
    found = samples(Snapshot("1", 100.0, {}, {}, 1, lists=[never, ahead]))
    assert ("filterproxy_list_age_seconds", ("list", "court")) not in found
    assert found["filterproxy_list_stale", ("list", "court")] == 1
    assert found["filterproxy_list_refused_total", ("list", "court")] == 4
    assert found["filterproxy_list_age_seconds", ("list", "school")] == 0


def test_a_zone_is_told_of_by_its_list():
    """Its serial, its size, and what it cannot carry."""
    found = samples(Snapshot("1", 100.0, {}, {}, 1, zones=[ZoneState("court", 1_700_000_000, 12, 3)]))
    told = {name: value for (name, *labels), value in found.items() if labels == [("list", "court")]}
    assert told == {
        "filterproxy_zone_serial": 1_700_000_000, "filterproxy_zone_records": 12, "filterproxy_zone_unenforceable": 3,
    }  # fmt: skip


def test_what_is_not_known_is_left_out():
    """A gauge without a value is absent, not zero."""
    assert not {f"filterproxy_{name}" for name in GAUGES} & {name for name, *_ in samples(EMPTY)}


def test_alerts_are_counted_by_kind_and_list_and_by_the_way_they_were_lost():
    """What was raised, and what nobody was told of."""
    found = samples(Snapshot("1", 1.0, {}, {}, 1, alerts={("domain", "court"): 2}, undelivered={"mail": 1}))
    assert found["filterproxy_alerts_total", ("kind", "domain"), ("list", "court")] == 2
    assert found["filterproxy_alerts_undelivered_total", ("way", "mail")] == 1


def test_labels_are_fixed_words_and_ids():
    """Only these labels exist, so no address, URL or client can be one."""
    process, item = ProcessState("edge-0", True, 0, 1.0, 1), ListState("court", 1, 1.0, 0, stale=False)
    events, verdicts = {"dns_queries": 1}, {("court", "dns", "block"): 1}
    gauges, alerts = dict.fromkeys(GAUGES, 1.0), {("domain", "court"): 1}
    zones = [ZoneState("court", 1, 1, 0)]
    found = samples(Snapshot("1", 2.0, events, verdicts, 1, [process], [item], zones, gauges, alerts, {"mail": 1}))
    assert {label for _, *labels in found for label, _ in labels} == {
        "version", "event", "list", "frontend", "action", "process", "kind", "way",
    }  # fmt: skip
