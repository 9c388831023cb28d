from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from filterproxy.runtime.turns import after_others, last_of_all, one_by_one, soon_and_short


def nice() -> int:
    """Return how nice this thread is."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_thread_that_reads_lists_stands_back_and_no_other_does():
    """Answers go first; the threads beside it, and those started later, are as they were."""
    before = nice()
    with ThreadPoolExecutor(1, initializer=after_others) as lists, ThreadPoolExecutor(1) as others:
        assert lists.submit(nice).result() == max(before, 10)
        assert others.submit(nice).result() == before
    assert nice() == before


def test_who_goes_last_runs_where_nobody_else_wants_to_and_so_do_its_threads():
    """Those that were there before are as they were."""
    before = os.sched_getscheduler(0)

    def policies() -> tuple[int, int]:
        with ThreadPoolExecutor(1) as started:
            return os.sched_getscheduler(0), started.submit(os.sched_getscheduler, 0).result()

    with ThreadPoolExecutor(1, initializer=last_of_all) as last:
        assert last.submit(policies).result() == (os.SCHED_IDLE, os.SCHED_IDLE)
    assert os.sched_getscheduler(0) == before


def test_short_turns_change_nothing_else():
    """How nice a thread is, and under which policy it runs, stays what the operator has set."""
    with ThreadPoolExecutor(1, initializer=soon_and_short) as short:
        assert short.submit(nice).result() == nice()
        assert short.submit(os.sched_getscheduler, 0).result() == os.sched_getscheduler(0)


def test_workers_that_share_a_processor_take_turns_and_nothing_else_changes():
    """They do not take it from each other for a few packets; their rank among others stays."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with ThreadPoolExecutor(1, initializer=one_by_one) as shared:
        policy, nice = shared.submit(lambda: (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))).result()
    assert (policy, nice) == (os.SCHED_BATCH, before)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
