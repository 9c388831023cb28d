"""A small read-only page for operators, where the console will be. No address is on it."""

from __future__ import annotations

import time
from html import escape
from typing import Any

import filterproxy

from .desk import Desk
from .httpd import Page

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1a1a1a}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #ccc}"
    ".wide{overflow-x:auto}.bad{color:#9b1c1c;font-weight:600}"
)


def operators_page(desk: Desk) -> Page:
    """Return the page that shows what `desk` reports."""

    async def page() -> tuple[int, str, bytes]:
        return 200, "text/html; charset=utf-8", _render(desk.report()).encode()

    return page


def _render(report: dict[str, Any]) -> str:
    rows = "".join(_row(item) for item in report["lists"])
    store = {True: "answers", False: '<span class="bad">is away</span>', None: "was not asked yet"}[report["store_up"]]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>filterproxy: status</title><style>{_STYLE}</style></head><body><main><h1>Status</h1>"
        f"<p>filterproxy {escape(filterproxy.__version__)}. The database {store}. "
        f"Appeals waiting: {_number(report['appeals_waiting'])}; overdue: {_number(report['appeals_overdue'])}.</p>"
        '<div class="wide"><table><caption>Lists in force</caption><thead><tr><th scope="col">List</th>'
        '<th scope="col">State</th><th scope="col">Entries</th><th scope="col">Enforced exactly</th>'
        '<th scope="col">By host</th><th scope="col">Not at all</th><th scope="col">Last read</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></main></body></html>"
    )


def _row(item: dict[str, Any]) -> str:
    good = item["state"] == "ok" and not item["stale"]
    words = item["state"] + (", stale" if item["stale"] else "") + (f": {item['reason']}" if item["reason"] else "")
    state = escape(words) if good else f'<span class="bad">{escape(words)}</span>'
    cells = (item["entries"], item["exact"], item["host"], item["none"])
    return (
        f'<tr><th scope="row">{escape(item["title"])}</th><td>{state}</td>'
        + "".join(f"<td>{value:,}</td>" for value in cells)
        + f"<td>{_age(item['loaded_at'])}</td></tr>"
    )


def _age(loaded_at: float | None) -> str:
    if loaded_at is None:
        return "never"
    minutes = max(0, int((time.time() - loaded_at) // 60))
    return f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h ago"


def _number(value: int | None) -> str:
    return "unknown" if value is None else str(value)
