"""Which context keys are tallied of a strategy, as its blueprints say."""

from __future__ import annotations

from abloop.store.catalogue import Catalogue


class TalliedKeys:
    """Context keys that are tallied, by strategy and version; looked up once.

    Args:
        catalogue: The blueprints.

    Attributes:
        some: Whether any were asked for.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        """Look up nothing yet."""
        self._catalogue = catalogue
        self._known: dict[tuple[str, int], tuple[str, ...]] = {}
        self.some = False

    def __call__(self, strategy: str, version: int) -> tuple[str, ...]:
        """Return the key at each place of a decision's entities, empty where it is not tallied; version 0 is all."""
        if (strategy, version) not in self._known:
            found: dict[int, tuple[str, ...]] = {0: ()}
            if strategy in self._catalogue.servings():
                for registered, blueprint in self._catalogue.blueprints(strategy):
                    keys = tuple(group.key if group.events else "" for group in blueprint.groups)
                    found[registered.version] = keys
                    found[0] += keys
            self._known |= {(strategy, number): keys for number, keys in found.items()}
            self.some |= any(found[0])
        return self._known.get((strategy, version), ())
