"""A PostgreSQL of the test's own: files in a short temporary folder, reached over a Unix socket, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

MISSING = "no PostgreSQL: apt-get install postgresql"


def binaries() -> Path | None:
    """Return the folder of `initdb` and `pg_ctl`: $PG_BINDIR, else the newest that Debian installed; None if absent."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    named = [Path(os.environ["PG_BINDIR"])] if os.environ.get("PG_BINDIR") else []
    found = (folder for folder in [*named, *reversed(versions)] if (folder / "initdb").is_file())
    return next(found, None)


@contextmanager
def cluster() -> Iterator[str]:
    """Yield the URL, `{}` for the database's name, of a server that runs during the block. Skips if there is none."""
    folder = binaries()
    if folder is None:
        pytest.skip(MISSING)
    # Short: a socket's path ends at 107 bytes. The server refuses to run as root, so nobody owns it then.
    home = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    person: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        person = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def run(*command: str) -> None:
        subprocess.run(command, check=True, cwd=home, stdout=subprocess.DEVNULL, timeout=60, **person)

    data, log = str(home / "data"), str(home / "log")
    try:
        run(str(folder / "initdb"), "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-F -k {home} -c listen_addresses="
        run(str(folder / "pg_ctl"), "-D", data, "-l", log, "-w", "-o", options, "start")
        try:
            yield f"postgresql://test@/{{}}?host={quote(str(home), safe='')}"
        finally:
            run(str(folder / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def administer(server: str, *statements: str) -> None:
    """Run statements on the server, each on its own."""
    with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
