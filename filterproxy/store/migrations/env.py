"""What Alembic runs: the migrations, inside the transaction that `migrate` began."""

from __future__ import annotations

from alembic import context

from filterproxy.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
