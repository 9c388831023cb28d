"""The words of the pages: one TOML file a language in `locale/`, and the choice between them.

A key is `table.name`; a value may hold `{names}`, which the page fills in. Another language is another file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from types import MappingProxyType
from typing import Any

DEFAULT = "en"
_LONGEST_HEADER = 200


class Catalogue:
    """The words of one language. Called from templates as `t("notice.title")`."""

    def __init__(self, language: str, tables: Mapping[str, Mapping[str, Any]]) -> None:
        self.language = language
        self._tables = tables

    def __call__(self, key: str, **values: object) -> str:
        """Return the words under `key`. Raises KeyError where there are none: tests render every page."""
        table, _, name = key.partition(".")
        return str(self._tables[table][name]).format(**values)

    def __contains__(self, key: str) -> bool:
        table, _, name = key.partition(".")
        return name in self._tables.get(table, {})

    def day(self, day: date) -> str:
        """Return a day as people write it; a datetime is taken as it is."""
        months = self._tables["date"]["months"]
        return self("date.day", day=day.day, month=months[day.month - 1], year=day.year)


def catalogues(*packages: str) -> Mapping[str, Catalogue]:
    """Return the catalogue of each language that the first package has, with the tables of all `packages`."""
    first = files(packages[0]) / "locale"
    names = sorted(item.name for item in first.iterdir() if item.name.endswith(".toml"))
    found = {}
    for name in names:
        tables: dict[str, Mapping[str, Any]] = {}
        for package in packages:
            tables |= tomllib.loads((files(package) / "locale" / name).read_text("utf-8"))
        found[name.removesuffix(".toml")] = Catalogue(name.removesuffix(".toml"), tables)
    return MappingProxyType(found)


def choose(header: str, known: Mapping[str, Catalogue]) -> Catalogue:
    """Return the language that an Accept-Language header (RFC 9110, 12.5.4) likes best, English if it likes none."""
    best, weight = known[DEFAULT], 0.0
    for item in header[:_LONGEST_HEADER].split(","):
        tag, _, parameters = item.strip().partition(";")
        language = tag.strip().lower().split("-")[0]
        value = _weight(parameters)
        if language in known and value > weight:
            best, weight = known[language], value
    return best


def _weight(parameters: str) -> float:
    """Return the q value in `parameters`: 1 where there is none, 0 where it makes no sense."""
    name, _, value = parameters.strip().partition("=")
    if not name:
        return 1.0
    try:
        return min(float(value), 1.0) if name.strip().lower() == "q" else 0.0
    except ValueError:
        return 0.0
