"""What a product process needs to decide for one strategy, read from the database."""

from __future__ import annotations

import sqlalchemy as sa

from abloop.store.catalogue import Catalogue
from abloop.store.serving import Comparison, Served, Serving
from abloop.store.sql import Database
from abloop.store.tables import comparisons, servings


def change_token(database: Database) -> tuple[int, int]:
    """Return what changes whenever anything else is to be served: one look, however many strategies.

    Raises:
        StoreError: The database cannot be read.
    """
    newest = [sa.select(sa.func.max(table.c.id)).scalar_subquery() for table in (servings, comparisons)]
    with database.reading() as connection:
        serving, comparison = connection.execute(sa.select(*newest)).one()
    return int(serving or 0), int(comparison or 0)


def read_served(
    catalogue: Catalogue, serving: Serving, comparison: Comparison | None = None, *, models: bool = True
) -> Served:
    """Return what is served, with all that belongs to it.

    Args:
        catalogue: Where it is.
        serving: What is served.
        comparison: The versions that are compared in its place.
        models: Whether releases are read too.

    Raises:
        AbloopError: Blueprint or release are missing or were altered, or the database is out of reach.
    """
    _, blueprint = catalogue.blueprint(serving.strategy, serving.version)
    artefact = catalogue.artefact(serving.release) if serving.release and models else None
    allocation = catalogue.allocation(serving.strategy, serving.version)
    entries = comparison.entries if comparison else ()
    rivals = tuple(
        read_served(catalogue, Serving(serving.strategy, entry.version, entry.phase, entry.release), models=models)
        for entry in entries
    )
    return Served(serving, blueprint, artefact, allocation, comparison, rivals)
