"""Runs the migrations on the connection that wiser_fhir.db.migrate hands over.

Always by way of `wiser_fhir.db.migrate`: it takes the lock, checks the roles and writes the mode.
"""

from alembic import context
from wiser_fhir.db.tables import metadata


def run() -> None:
    connection = context.config.attributes.get("connection")
    if connection is None:
        raise RuntimeError("run migrations through wiser_fhir.db.migrate")
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=False)
    with context.begin_transaction():
        context.run_migrations()


run()
