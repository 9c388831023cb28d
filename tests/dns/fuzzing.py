"""Runs one target of the fuzzer: `python -m tests.dns.fuzzing TARGET FOLDER [options of libFuzzer]`.

A target is a module `tests.dns.fuzz_TARGET` with `seeds()` and `run(data)`. Seeds are written to FOLDER, and so is what
is found. Whatever is logged meanwhile is an error: nothing that is sent to us is worth a line, and a name least of all.
"""

from __future__ import annotations

import importlib
import logging
import sys
from hashlib import sha1
from pathlib import Path
from typing import Any

atheris: Any = importlib.import_module("atheris")  # it has no types, and exists for some systems only
MARK = "zqwanted"
"""Stands in the names of all seeds, and may stand in nothing that people read."""
INSTRUMENTED = ["filterproxy.dns", "h2", "hpack", "hyperframe"]


class Strict(logging.Handler):
    """Raises what is logged: inside an `except` that keeps the error with its traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(f"logged: {record.getMessage()}")


def hidden(value: object) -> None:
    """Assert that what Python prints of `value` tells no name."""
    assert MARK not in f"{value!r}{value}".lower()


def main(target: str, folder: str, *options: str) -> None:
    """Fuzz until libFuzzer ends the process."""
    logging.getLogger("filterproxy").addHandler(Strict())
    with atheris.instrument_imports(include=INSTRUMENTED):
        module = importlib.import_module(f"tests.dns.fuzz_{target}")
    for seed in module.seeds():
        (Path(folder) / sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    atheris.Setup([sys.argv[0], *options, folder], module.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
