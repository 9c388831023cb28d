"""/transparency as a page, as JSON and as CSV: one report, three forms."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from filterproxy import __version__
from filterproxy.core import totals as rules
from filterproxy.errors import StoreError

from .pages import Pages
from .parts import Parts
from .record import AppealCounts, Report, Totals, cells

_CACHE = {"Cache-Control": "public, max-age=300"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class TransparencyPages:
    """The handlers of /transparency."""

    def __init__(self, parts: Parts, pages: Pages) -> None:
        self._parts, self._pages = parts, pages

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/transparency", tags=["transparency"])
        add = router.add_api_route
        add("", self.page, methods=["GET"], response_class=HTMLResponse, summary="The public record")
        add(".json", self.json, methods=["GET"], response_model=Report, summary="The public record as JSON")
        add(".csv", self.csv, methods=["GET"], response_class=Response, summary="The public record as CSV")
        return router

    async def page(self, request: Request) -> Response:
        """Show the record as tables."""
        report = await self._report(request)
        days = [] if report.totals is None else [
            (day, {cell.list: cell.blocked for cell in group})
            for day, group in groupby(report.totals.blocks, key=lambda cell: cell.day)
        ]  # fmt: skip
        now = self._parts.now()
        ages = {item.id: (now - item.loaded_at).total_seconds() / 3600 for item in report.lists if item.loaded_at}
        return self._pages.page(
            "transparency", request, headers=_headers(report), report=report, days=days[:14], ages=ages
        )  # fmt: skip

    async def json(self, request: Request, response: Response) -> Report:
        """Return the record as JSON; `totals` is null while the database is away."""
        report = await self._report(request)
        for name, value in (_headers(report) | {"Vary": "Accept-Language"}).items():  # `stored` is told in words
            response.headers[name] = value
        return report

    async def csv(self, request: Request) -> Response:
        """Return the record as CSV: a row for each thing that is measured."""
        report = await self._report(request)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(("list", "day", "measure", "value"))
        writer.writerows(tuple(_plain(value) for value in row) for row in rows(report))
        headers = _headers(report) | {"Content-Disposition": 'attachment; filename="transparency.csv"'}
        return Response(text.getvalue(), 200, headers, "text/csv")

    async def _report(self, request: Request) -> Report:
        record = self._parts.record()
        try:
            totals = await run_in_threadpool(self._totals)
        except StoreError:
            totals = None
        stored = self._pages.words(request)("transparency.stored")
        return Report(
            self._parts.settings.operator.name, f"filterproxy {__version__}", rules.SUPPRESSED_BELOW,
            record.lists, totals, stored,
        )  # fmt: skip

    def _totals(self) -> Totals:
        until = rules.until(self._parts.now())
        counts = self._parts.store.appeal_counts(until)
        decided = counts.granted + counts.rejected
        appeals = AppealCounts(*(rules.rounded(number) for number in (counts.received, decided, counts.granted)))
        return Totals(until, cells(self._parts.record().lists, self._parts.store.totals(until), until), appeals)


def rows(report: Report) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the CSV: list, day, measure, value."""
    for item in report.lists:
        loaded = item.loaded_at.isoformat() if item.loaded_at else ""
        for measure, value in (
            ("title", item.title), ("authority", item.authority), ("category", item.category),
            ("basis", item.basis.value), ("loaded_at", loaded), ("stale", str(item.stale).lower()),
            ("entries", _shown(item.entries_rounded)), ("exact_percent", item.exact), ("host_percent", item.host),
            ("not_enforced_percent", item.none),
        ):  # fmt: skip
            yield item.id, "", measure, value
    if report.totals is not None:
        for cell in report.totals.blocks:
            yield cell.list, cell.day.isoformat(), "blocked", _shown(cell.blocked)
        for measure in ("received", "decided", "granted"):
            number = getattr(report.totals.appeals, measure)
            yield "", report.totals.until.isoformat(), f"appeals_{measure}", _shown(number)


def _shown(number: int | None) -> int | str:
    return rules.SUPPRESSED if number is None else number


def _plain(value: object) -> object:
    """Keep a spreadsheet from taking an operator's words for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _headers(report: Report) -> dict[str, str]:
    """Return what lets others keep and find the record; while the totals are missing it is not worth keeping."""
    return {"X-Robots-Tag": "all"} | (_CACHE if report.totals is not None else {"Cache-Control": "no-store"})
