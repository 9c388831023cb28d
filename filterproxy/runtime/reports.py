"""What control says of lists, alerts and the store, and what adds up over all the control processes there were."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from .channel import Body


class Total[K: Hashable]:
    """Counts of somebody who begins anew now and then, added up: no sum ever falls."""

    def __init__(self) -> None:
        self.sums: dict[K, int] = {}
        self._last: dict[K, int] = {}

    def take(self, said: Iterable[tuple[K, int]]) -> None:
        """Add what was counted since the last time; a number that fell has begun anew."""
        now = dict(said)
        for key, value in now.items():
            known = self._last.get(key, 0)
            self.sums[key] = self.sums.get(key, 0) + (value - known if value >= known else value)
        self._last |= now


class Reports:
    """The last report, and sums over all."""

    def __init__(self) -> None:
        self.last: Body = {}
        """What control last said of lists, appeals and the store."""
        self._refused, self._raised, self._lost = Total[str](), Total[tuple[str, str]](), Total[str]()

    def take(self, report: Body) -> None:
        """Take a report of control's."""
        alerts = report.get("alerts", {})
        # What was never looked at has no number yet: a control process that has just begun says 0 of every list.
        known = (item for item in report["lists"] if item["checked_at"] is not None)
        self._refused.take((item["id"], item["refused"]) for item in known)
        self._raised.take(((kind, name), value) for kind, name, value in alerts.get("raised", ()))
        self._lost.take(alerts.get("undelivered", {}).items())
        self.last = report

    @property
    def refused(self) -> Mapping[str, int]:
        """How often each list was refused; a list's own number starts again when it is well."""
        return self._refused.sums

    @property
    def raised(self) -> Mapping[tuple[str, str], int]:
        """Alerts raised, by kind and list."""
        return self._raised.sums

    @property
    def undelivered(self) -> Mapping[str, int]:
        """Alerts that did not arrive, by the way they should have gone."""
        return self._lost.sums
