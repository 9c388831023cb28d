"""The configuration explained from its own models: docs/configuration.md and config/filterproxy.toml.

Nothing about a key is written twice: its meaning is its docstring, its default stands beside it in the model.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .root import Settings

_HEAD = """\
# Every key of filterproxy with its default; the lists and the profile at the end are samples with invented names.
# A length of time is a number of seconds, or text such as 30s, 15m, 12h, 7d, 2w. An unknown key is an error.
# `filterproxy config example` prints this file, `filterproxy run -c FILE --hints` starts what it says.
"""

_INTRO = """\
# Configuration

One TOML file, handed over with `-c FILE`. Every key has a default but those of `[[lists]]` and `[[profiles]]` marked
*required*. An unknown key is an error that names the key; nothing starts then, and the exit code is 2.
`config/filterproxy.toml` holds every key; `filterproxy config check -c FILE` says what is wrong with a file.

A *duration* is a number of seconds, or text such as `30s`, `15m`, `12h`, `7d`, `2w`. An *address* is `ADDRESS:PORT`
(IPv6 in brackets), a *network* is in CIDR form. Relative paths begin at the working directory.

This page is made from `filterproxy/settings/` by `make docs`; `tests/test_docs.py` holds the two together.
"""

_LISTS: Sequence[Mapping[str, object]] = (
    {
        "id": "sample-urls",
        "title": "Sample of a hotline's URL list",
        "authority": "Hotline (sample)",
        "category": "Pages that harm children",
        "basis": "voluntary",
        "confidential": True,
        "source": "lists/sample.urls",
        "format": "urls",
        "https": "inspect",
        "appeal": "https://hotline.example/appeals",
    },
    {
        "id": "sample-court",
        "title": "Sample of a court's order",
        "authority": "District court (sample)",
        "category": "Sites that a court ordered to be blocked",
        "basis": "court",
        "mandatory": True,
        "source": "lists/sample.court",
        "format": "domains",
        "appeal": "https://court.example/appeals",
    },
    {
        "id": "sample-domains",
        "title": "Sample of a list of domains",
        "authority": "This network",
        "category": "Sites that misuse the trust of children",
        "opt_out": True,
        "source": "lists/sample.domains",
        "format": "domains",
    },
    {
        "id": "sample-keywords",
        "title": "Sample of a keyword list",
        "authority": "This network",
        "category": "Words that deserve a second look",
        "source": "lists/sample.keywords",
        "format": "keywords",
        "action": "flag",
    },
)
_PROFILES: Sequence[Mapping[str, object]] = (
    {
        "id": "everyone",
        "networks": ["0.0.0.0/0", "::/0"],
        "allow": ["=help.casino.test"],
        "deny": ["refused.test"],
    },
)

_SAID_OF = {
    "socket_address": "address",
    "_network": "network",
    "_upstream": "upstream",
    "_zone": "name",
    "_name": "name",
}
"""What a validator lets pass, in a word."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its place, what it takes, its default as TOML (empty where there is none) and what it means."""

    table: str
    name: str
    takes: str
    default: str
    text: str
    required: bool


def every_key() -> Iterator[Key]:
    """Yield every key of the configuration, in the order of the models."""
    for table, model in tables():
        for name, field in model.model_fields.items():
            if _is_table(field.annotation):
                continue
            takes, default = _takes(field.annotation, field), _toml(field.default)
            yield Key(table, name, takes, default, _flat(field.description or ""), field.is_required())


def tables() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield every table as it is written in TOML, with its model; a table inside another follows it."""
    for name, field in Settings.model_fields.items():
        parts = typing.get_args(field.annotation)
        model = parts[0] if parts else field.annotation
        assert _is_table(model)  # noqa: S101 - for mypy: every field of Settings is a table
        yield (f"[[{name}]]" if parts else f"[{name}]"), model
        for inner, inside in model.model_fields.items():
            if _is_table(inside.annotation):
                yield f"[{name}.{inner}]", inside.annotation


def _is_table(annotation: object) -> typing.TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def markdown() -> str:
    """Return docs/configuration.md."""
    pages = [_INTRO]
    for table, model in tables():
        page = [f"## `{table}`\n", _flat(model.__doc__ or "") + "\n"]
        rows = [key for key in every_key() if key.table == table]
        if rows:
            page += ["| key | takes | default | |", "|---|---|---|---|"]
            page += [f"| `{key.name}` | {key.takes} | {_default_cell(key)} | {_cell(key.text)} |" for key in rows]
            page.append("")
        pages.append("\n".join(page))
    return "\n".join(pages)


def example() -> str:
    """Return config/filterproxy.toml: every key, its meaning as a comment, and samples of lists and of a profile."""
    parts = [_HEAD]
    samples = {"[[lists]]": _LISTS, "[[profiles]]": _PROFILES}
    waiting: list[str] = []
    for table, model in tables():
        if "." not in table:  # the further samples of a table come after the tables inside its first
            parts, waiting = parts + waiting, []
        rows = [key for key in every_key() if key.table == table]
        first, *others = samples.get(table, ({},))
        parts.append("\n".join([*_comment(_flat(model.__doc__ or "")), table, *_explained(rows, first), ""]))
        waiting += ["\n".join([table, *_plain(other), ""]) for other in others]
    return "\n".join(parts + waiting)


def _explained(rows: Sequence[Key], values: Mapping[str, object]) -> Iterator[str]:
    for key in rows:
        value = _toml(values[key.name]) if key.name in values else key.default
        yield from _comment(key.text)
        yield f"{key.name} = {value}" if value else f"# {key.name} is not set; it takes: {key.takes.replace('`', '')}"


def _plain(values: Mapping[str, object]) -> Iterator[str]:
    return (f"{name} = {_toml(value)}" for name, value in values.items())


def _comment(text: str) -> Iterator[str]:
    line = "#"
    for word in text.replace("`", "").split():
        if len(line) + len(word) > 118:
            yield line
            line = "#"
        line += " " + word
    yield line


def _flat(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _default_cell(key: Key) -> str:
    return "*required*" if key.required else f"`{key.default}`" if key.default else "not set"


def _takes(annotation: object, field: FieldInfo | None = None) -> str:
    """Say in a few words what a key takes."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, UnionType):
        return _takes(next(part for part in parts if part is not NoneType), field)
    if origin is typing.Annotated:
        return _named(annotation) or _takes(parts[0], field)
    if origin is tuple:
        return f"list of {_takes(parts[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"`{{ {', '.join(annotation.model_fields)} }}`"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return ", ".join(f"`{item.value}`" for item in annotation)
    if annotation is str and field is not None and field.metadata and (named := _by_validator(field.metadata)):
        return named
    plain = {
        bool: "`true`, `false`",
        int: "number",
        float: "number",
        date: "date",
        str: "text",
        Path: "path",
        timedelta: "duration",
    }
    return plain.get(annotation, "text") if isinstance(annotation, type) else "text"


def _named(annotation: object) -> str:
    return _by_validator(typing.get_args(annotation)[1:])


def _by_validator(metadata: Sequence[object]) -> str:
    names = {getattr(getattr(item, "func", None), "__name__", "") for item in metadata}
    return next((said for name, said in _SAID_OF.items() if name in names), "")


def _toml(value: object) -> str:
    """Return `value` as TOML; empty for what has no default."""
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return json.dumps(_duration(int(value.total_seconds())))
    if isinstance(value, BaseModel):
        return f"{{ {', '.join(f'{name} = {_toml(item)}' for name, item in value)} }}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(str(value), ensure_ascii=False)


def _duration(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def write(folder: Path) -> None:
    """Write both files below `folder`, the top of the checkout."""
    (folder / "docs" / "configuration.md").write_text(markdown(), encoding="utf-8")
    (folder / "config" / "filterproxy.toml").write_text(example(), encoding="utf-8")


if __name__ == "__main__":
    write(Path.cwd())
