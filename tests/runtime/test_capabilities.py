"""The one capability: raised to bind, then gone for good."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.integration.product import readable_by

SCRIPT = """
import ctypes, os, socket
from filterproxy.runtime import capabilities as caps
libc = ctypes.CDLL(None)
caps.give_up()
assert caps.held().permitted                       # root is let alone
assert libc.prctl(8, 1, 0, 0, 0) == 0              # keep what is permitted while becoming somebody else
os.setresuid(65534, 65534, 65534)
bind = 1 << 10
caps._set(caps.Held(0, bind, 0))                   # as a file capability that is permitted and not effective gives it
def low():
    with socket.socket() as sock:
        sock.bind(("", 999))
for act, held, works in ((None, (0, bind, 0), False), (caps.raise_bind, (bind, bind, 0), True),
                         (caps.give_up, (0, 0, 0), False), (caps.raise_bind, (0, 0, 0), False)):
    if act:
        act()
    assert caps.held() == caps.Held(*held), caps.held()
    try:
        low()
    except PermissionError:
        assert not works
    else:
        assert works
print("well")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: nobody else can start with a capability")
def test_it_is_raised_where_permitted_and_given_up_for_good():
    """Permitted alone does not bind port 999; raised it does; given up it cannot be had back."""
    command = ["unshare", "--net", sys.executable, "-c", SCRIPT]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (found.stdout, found.stderr) == ("well\n", "")


RAW = """
import os, socket, subprocess, sys
from filterproxy.runtime import capabilities as caps
assert caps.keep_raw()                             # root is let alone
caps.stay_permitted()
os.setresuid(65534, 65534, 65534)
assert caps.held().permitted & caps._TO_BIND == caps._TO_BIND
raw = 1 << 13
assert caps.keep_raw()
assert caps.held() == caps.Held(0, raw, raw), caps.held()
inner = "import sys; sys.path.insert(0, '.'); from filterproxy.runtime import capabilities as caps; import socket\\n"
inner += "sock = socket.socket(); sock.setsockopt(0, 19, 1); print(caps.held()); caps.give_up(); print(caps.held())"
print(subprocess.run([sys.executable, "-c", inner], capture_output=True, text=True).stdout)
caps.give_up()
assert not caps.keep_raw()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: nobody else can start with a capability")
def test_one_is_kept_for_what_is_started_and_given_up_there():
    """It is not used here, and effective there: a socket may then speak in another's address."""
    found = subprocess.run(
        [*readable_by("nobody"), sys.executable, "-c", RAW],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.stderr == ""
    assert found.stdout.splitlines()[:2] == [
        "Held(effective=8192, permitted=8192, inheritable=8192)",
        "Held(effective=0, permitted=0, inheritable=0)",
    ]
