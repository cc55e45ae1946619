"""The state of each strategy's tuning, step by step: nothing is changed in place, and no step is made twice."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from abloop.errors import DataError
from abloop.optimize.trials import State
from abloop.store.sql import Database
from abloop.store.tables import tunings


class Tunings:
    """What is known of tuning.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def state(self, strategy: str) -> State:
        """Return the newest state of a strategy; an empty one where it was never tuned."""
        query = sa.select(tunings.c.body).where(tunings.c.strategy == strategy).order_by(tunings.c.step.desc())
        with self._database.reading() as connection:
            body = connection.execute(query.limit(1)).scalar()
        return State(strategy) if body is None else msgspec.json.decode(body, type=State)

    def advance(self, state: State, *, at: float, who: str, why: str) -> State:
        """Keep what follows from the state of `state.step`, and return it as kept.

        Args:
            state: The new state, with the step of the one that it was made from.
            at: Seconds since 1970.
            who: Who.
            why: Why.

        Raises:
            DataError: Somebody else went on from there first; nothing is changed.
        """
        made = msgspec.structs.replace(state, step=state.step + 1)
        row = {"strategy": state.strategy, "step": made.step, "at": at, "who": who, "why": why}
        mine = (tunings.c.strategy == state.strategy, tunings.c.step >= made.step)
        with self._database.transaction() as connection:
            if connection.execute(sa.select(tunings.c.step).where(*mine).limit(1)).scalar() is not None:
                raise DataError(f"somebody else tunes {state.strategy!r} at this moment; look at its status first")
            connection.execute(tunings.insert().values(**row, body=msgspec.json.encode(made).decode()))
        return made
