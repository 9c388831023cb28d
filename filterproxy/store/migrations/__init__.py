"""The database's history, run by the program itself: `migrate` brings any older database up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from filterproxy.errors import StoreError

_LOCK: Final = 4_607_412_893
"""PostgreSQL's advisory lock that one migrating process holds; any number that nobody else uses."""


def migrate(connection: Connection) -> None:
    """Bring the database up to date within the transaction of `connection`.

    Of several processes one migrates and the others find it done. Raises StoreError where the database was made
    by a version that this one does not know.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        raise StoreError("the database was made by another version of filterproxy: nothing in it was changed") from exc
