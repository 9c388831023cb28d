"""The store: all queries over one database, for any number of threads."""

from __future__ import annotations

from typing import Self

from sqlalchemy import Connection, insert, select

from filterproxy.errors import StoreError

from .appeals import Appeals
from .damage import Damage
from .database import Database
from .migrations import migrate
from .overrides import Overrides
from .quarantine import Quarantine
from .schema import seal_checks
from .sealing import Sealing
from .totals import Totals

_CHECK = "filterproxy"


class Store(Appeals, Overrides, Quarantine, Totals):
    """Keeps appeals, overrides, decisions on what is in quarantine, and totals.

    Its methods wait for the database, five seconds at most for each connection, lock and statement: call them
    from a thread. Each raises StoreError where the database cannot be used; nothing has changed then.
    """

    def __init__(self, url: str, column_key: bytes) -> None:
        """Take the address and the key; the database is opened, and brought up to date, when it is first used.

        So a process can start while its database is away. Raises StoreError where `url` names none we know.
        """
        self._sealing = Sealing(column_key)
        self._damage = Damage()
        self._database = Database(url, self._prepare)

    @classmethod
    def open(cls, url: str, column_key: bytes) -> Self:
        """Return the store, its database there, up to date and sealed under this key. Raises StoreError."""
        store = cls(url, column_key)
        try:
            store.prepare()
        except StoreError:
            store.close()
            raise
        return store

    def prepare(self) -> None:
        """Do now what the first use would do. Raises StoreError."""
        self._database.prepare()

    def close(self) -> None:
        """Let go of the connections."""
        self._database.close()

    def _prepare(self, connection: Connection) -> None:
        migrate(connection)
        sealed = connection.scalar(select(seal_checks.c.sealed).where(seal_checks.c.id == 1))
        if sealed is None:
            connection.execute(
                insert(seal_checks).values(id=1, sealed=self._sealing.seal("seal_checks.sealed", "1", _CHECK))
            )
        elif self._sealing.open("seal_checks.sealed", "1", sealed) != _CHECK:
            raise StoreError("the database was sealed under another column key")
