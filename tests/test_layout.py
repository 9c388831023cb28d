"""Tests mirror the package, and say what they promise."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE, TESTS = ROOT / "filterproxy", ROOT / "tests"
BESIDE = ("contract", "integration", "e2e", "data")
"""Folders of tests that are about several rooms at once."""
OF_THE_HOUSE = {
    "test_docs.py", "test_layout.py", "test_cases.py",
    "lists/formats/test_golden.py", "gateway/test_smuggling.py", "lists/formats/test_agreement.py",
    "dns/test_fuzz.py", "dns/test_alike.py",
}  # fmt: skip
ELSEWHERE = {
    "inspection/": "one door: tests/inspection/test_filter.py drives the addon, inside a real mitmproxy",
    "runtime/": "tests/integration/test_supervisor.py runs whole products, and kills each of their processes",
    "cli/appeals.py": "asks the running product: tests/integration",
    "cli/doctor.py": "asks the running product: tests/integration",
    "cli/probes.py": "asks the running product: tests/integration",
    "cli/run.py": "starts the product: tests/integration",
    "cli/selftest_asks.py": "asks the running product: tests/integration/test_selftest.py",
    "cli/selftest_product.py": "asks the running product: tests/integration/test_selftest.py",
    "cli/top.py": "asks the running product: tests/integration",
    "cli/version.py": "tests/cli/test_main.py",
    "__main__.py": "one call; every test of the command line goes through it",
    "errors.py": "names alone; each is raised in the tests of its room",
    "dns/asking.py": "an interface; each room of tests/dns keeps it",
    "gateway/answering.py": "tests/gateway/test_exchange.py",
    "gateway/house.py": "nouns alone; tests/gateway/street.py lives in it",
    "gateway/reaching.py": "tests/gateway/test_exchange.py, test_opening.py",
    "gateway/ruling.py": "tests/gateway/test_exchange.py",
    "gateway/tunnelling.py": "tests/gateway/test_client.py, test_opening.py",
    "core/model.py": "nouns alone; what they mean shows in tests/core/test_decide.py",
    "settings/root.py": "tests/settings/test_load.py reads whole configurations",
    "settings/base.py": "tests/settings/test_load.py reads every kind of value",
    "settings/lists.py": "tests/settings/test_load.py",
    "settings/tables.py": "tests/settings/test_load.py",
    "settings/gateway.py": "tests/settings/test_load.py",
}


def sources() -> list[str]:
    """Return the modules that hold code of their own, relative to the package."""
    found = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    return sorted(str(path) for path in found if path.name != "__init__.py" and "migrations" not in path.parts)


def cases() -> list[Path]:
    """Return the files of tests, relative to their folder."""
    return sorted(path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))


def test_every_test_file_stands_where_its_module_stands():
    """tests/core/test_urls.py is about filterproxy/core/urls.py, and so on."""
    mirrored = [path for path in cases() if path.parts[0] not in BESIDE and str(path) not in OF_THE_HOUSE]
    lost = [path for path in mirrored if not (PACKAGE / path.parent / path.name.removeprefix("test_")).is_file()]
    assert [str(path) for path in lost] == []


def test_every_module_has_its_test_or_a_reason():
    """A module without a test beside it says where else it is tested."""
    known = {str(path.parent / path.name.removeprefix("test_")) for path in cases()}
    rooms = tuple(name for name in ELSEWHERE if name.endswith("/"))
    assert [name for name in sources() if not (name in known or name in ELSEWHERE or name.startswith(rooms))] == []
    assert [name for name in ELSEWHERE if name in known or not (PACKAGE / name).exists()] == []


@pytest.mark.parametrize("path", cases(), ids=str)
def test_every_test_states_its_promise(path):
    """One docstring a test: what the reader may rely on while it is green."""
    tree = ast.parse((TESTS / path).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [node.name for node in functions if node.name.startswith("test_") and not ast.get_docstring(node)] == []


@pytest.mark.parametrize("name", sources())
def test_no_room_outgrows_its_walls(name):
    """A file under 350 lines, whose docstring states its rule."""
    text = (PACKAGE / name).read_text()
    assert text.count("\n") <= 350
    assert ast.get_docstring(ast.parse(text))
