"""The one capability: raised to bind, then gone for good."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

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
