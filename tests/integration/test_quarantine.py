"""Quarantine in the running product: what the guard holds back, and two people who let it pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from filterproxy.runtime.children import environment
from tests.conftest import ROOT

from .product import Product, readable_by, upstream

USER = "nobody"
MORE = """
[[lists]]
id = "court"
source = "{f}/court.domains"
format = "domains"
mandatory = true
basis = "court"
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two Unix users: run the tests as root")


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    """A product that runs as another user than root, with a top site on a mandatory list."""
    # Not in pytest's own folder: that is root's alone, whenever another run begins.
    with tempfile.TemporaryDirectory(prefix="fp-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield from _running(Product(folder), folder)


def _running(made: Product, folder: Path) -> Iterator[Product]:
    (folder / "top.csv").write_text("1,top.example\n2,other.example\n")
    (folder / "court.domains").write_text("top.example\nlisted.example\n")
    (folder / "d.domains").write_text("bad.example\nother.example\n")
    text = made.config.read_text().replace("[runtime]", f'[runtime]\nuser = "{USER}"')
    top = f'[operator]\ntop_sites = "{folder}/top.csv"\n'
    made.config.write_text(top + text + MORE.format(f=folder))
    with upstream(made.upstream):
        try:
            made.start(within=readable_by(USER))
            yield made
        finally:
            made.kill()


def lists(product: Product, *arguments: str, user: str = "root") -> tuple[int, str]:
    """Run `filterproxy lists` as a Unix user; return its exit code and all that it said."""
    become = [] if user == "root" else ["setpriv", "--reuid", user, "--regid", "nogroup", "--clear-groups"]
    command = [
        *(readable_by(user) if become else []), *become, sys.executable, "-m", "filterproxy", "lists", *arguments,
        "-c", str(product.config),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def held(product: Product, *arguments: str) -> list[dict[str, Any]]:
    code, said = lists(product, "quarantine", "--json", *arguments)
    assert code == 0, said
    return [json.loads(line) for line in said.splitlines()]


def test_a_top_site_on_a_mandatory_list_is_blocked_once_two_people_say_so(product: Product) -> None:
    """The rest of the list is in force, the entry is not; one user's word changes nothing, another user's does."""
    assert (product.rcode("listed.example"), product.answers("top.example")) == (3, 1)
    [row] = held(product, "court")
    assert (row["value"], row["reason"]) == ("top.example", "would block top.example, one of the top sites")
    short = row["id"][:8]
    assert short in lists(product, "quarantine")[1]
    code, said = lists(product, "decide", short, "release", "--note", "order 7")
    assert code == 0
    assert "another Unix user" in said
    code, said = lists(product, "decide", short, "release")
    assert (code, "another person" in said) == (2, True)
    assert product.answers("top.example") == 1
    [row] = held(product, "court")
    assert (row["standing"], len(row["approvals"])) == ("waiting", 1)
    assert lists(product, "decide", short, "release", user=USER) == (0, "Released: the entry is in force.\n")
    assert product.rcode("top.example") == 3
    assert held(product, "court") == []
    assert "another Unix user" in lists(product, "decide", short, "keep")[1]
    assert product.rcode("top.example") == 3  # nor does one take out alone what two put in force


def test_one_person_decides_for_a_plain_list(product: Product) -> None:
    """What is kept stays out, what is released is in force when the command returns, and either may be undone."""
    [row] = held(product, "domains")
    assert row["value"] == "other.example"
    short = row["id"][:8]
    assert lists(product, "decide", short, "keep") == (0, "Kept: the entry stays out of force.\n")
    assert product.answers("other.example") == 1
    assert lists(product, "decide", short, "release") == (0, "Released: the entry is in force.\n")
    assert product.rcode("other.example") == 3
    assert lists(product, "decide", short, "keep") == (0, "Kept: the entry is out of force again.\n")
    assert product.answers("other.example") == 1


def test_what_was_decided_survives_a_restart(product: Product) -> None:
    """What people released is in force from the first answer on, and what they kept is held."""
    assert product.stop() == 0
    product.start(within=readable_by(USER))
    assert (product.rcode("top.example"), product.answers("other.example")) == (3, 1)
    assert [row["standing"] for row in held(product)] == ["kept"]
