"""The reference is made from the models, so it can neither lag behind nor invent a key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from filterproxy.settings import load_text, reference


def test_every_key_says_what_it_means():
    """No key without a sentence that ends like one."""
    assert [f"{key.table} {key.name}" for key in reference.every_key() if not key.text.endswith(".")] == []


def test_the_example_is_a_configuration_and_names_every_key():
    """What `config example` prints can be started, and no key is missing from it."""
    text = reference.example()
    load_text(text)
    for key in reference.every_key():
        assert f"\n{key.name} = " in text or f"\n# {key.name} is not set" in text


def test_the_example_holds_the_defaults():
    """Beside the lists and the profile, the example starts the same product as an empty file."""
    tables = tomllib.loads(reference.example())
    del tables["lists"], tables["profiles"]
    plain = load_text("").model_dump()
    assert load_text(reference.example()).model_dump(exclude={"lists", "profiles"}) == {
        name: value for name, value in plain.items() if name not in ("lists", "profiles")
    }
    of_samples = ("[[", "[lists.", "[profiles.")
    plain_keys = [key for key in reference.every_key() if key.default and not key.table.startswith(of_samples)]
    assert set(_written(tables)) == {f"{key.table.strip('[]')}.{key.name}" for key in plain_keys}


def _written(tables: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from _written(value, f"{above}{name}.")
        else:
            yield above + name


@pytest.mark.parametrize(
    ("table", "name", "takes", "default"),
    [
        ("[dns]", "listen", "list of address", '["127.0.0.1:5354"]'),
        ("[dns]", "clients", "list of network", None),
        ("[dns]", "timeout", "duration", '"2s"'),
        ("[inspection]", "tls", "`listed`, `all`, `none`", '"listed"'),
        ("[keys]", "folder", "path", ""),
        ("[[lists]]", "basis", "`law`, `court`, `voluntary`, `subscriber`", '"voluntary"'),
        ("[[lists]]", "max_age", "duration", ""),
        ("[[lists]]", "source", "text", ""),
        ("[[lists]]", "licence_until", "date", ""),
        ("[[lists]]", "max_removed", "number", "0.25"),
        ("[lists.fetch]", "max_bytes", "number", "536870912"),
    ],
)
def test_types_and_defaults_are_said_in_words(table, name, takes, default):
    """A reader learns what to write without knowing Python."""
    key = next(key for key in reference.every_key() if (key.table, key.name) == (table, name))
    assert key.takes == takes
    assert default is None or key.default == default
