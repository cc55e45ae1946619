"""Write the installation of a release: records at every place on their way. Run once with the code of that release.

git archive TAG abloop | tar -x -C /tmp/released
PYTHONPATH=/tmp/released python -P tests/store/released/write.py tests/store/released/X.Y.Z.zip
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import sys
import tempfile
import types
import zipfile
from pathlib import Path

from abloop import offline
from abloop.loop import Loop
from abloop.store import spool
from abloop.testing import ManualClock

TTL = 3_600.0
BLUEPRINT = {
    "strategy": "checkout",
    "arms": [{"name": "blue"}, {"name": "green"}],
    "metrics": [{"name": "bought"}, {"name": "paid", "combine": "sum", "role": "secondary"}],
    "groups": [{"name": "user", "key": "user_id", "events": True, "max_age": 0, "budget": 1}],
    "features": [{"name": "x"}, {"name": "purchases", "group": "user", "metric": "bought", "window": 86_400.0}],
    "lifecycle": {"ttl": TTL},
}


class Traffic:
    """Decisions and observations in every way that there is, and what should become of them."""

    def __init__(self, home: Path) -> None:
        """Open an installation, whose segments are named by its own clock."""
        self.clock = ManualClock()
        spool.time = types.SimpleNamespace(time_ns=lambda: int(self.clock() * 1e9))  # type: ignore[attr-defined]
        self.loop = Loop(f"sqlite:///{home}/abloop.db", clock=self.clock, refresh_seconds=3_600.0)
        self.loop.register(BLUEPRINT)
        self.strategy = self.loop.strategy("checkout")
        self.rng = random.Random(0)
        self.truth: dict[str, dict[str, object]] = {}

    def decide(self, name: str) -> None:
        """Decide, and observe something."""
        self.clock.advance(1.0)
        arm = self.strategy.get_decision(name, {"user_id": f"user {name}", "x": self.rng.gauss(0, 1)})
        self.truth[name] = {"arm": arm, "bought": 0.0, "paid": 0.0}
        self.observe(name)

    def observe(self, name: str, *, late: bool = False) -> None:
        """Observe with a key, twice with one key, and without."""
        bought, paid = (
            self.rng.random() < 0.5,
            [float(self.rng.randrange(1, 100)) for _ in range(self.rng.randrange(3))],
        )
        for _ in range(2 * bought):
            self.strategy.log_observations(name, {"bought": True}, key="order/7")
        for amount in paid:
            self.strategy.log_observations(name, {"paid": amount})
        if not late:
            row = self.truth[name]
            row["bought"], row["paid"] = max(row["bought"], float(bought)), row["paid"] + sum(paid)  # type: ignore

    def run(self) -> None:
        """Leave 60 joined decisions, 40 in the database, 30 in the spool, and observations of all of them."""
        for index in range(60):
            self.decide(f"joined {index}")
        offline.ship_spool(self.loop)
        self.clock.advance(TTL + 1)
        offline.join_rows(self.loop, "checkout")
        for index in range(5):
            self.observe(f"joined {index}", late=True)
        for index in range(40):
            self.decide(f"shipped {index}")
        self.strategy.log_observations("nobody", {"bought": True}, key="x")
        self.loop.spool.seal()
        offline.ship_spool(self.loop)
        for index in range(0, 40, 2):
            self.observe(f"shipped {index}")
        for index in range(30):
            self.decide(f"spooled {index}")
        for index in range(10):
            self.observe(f"joined {index}", late=True)


def main(archive: str) -> None:
    """Write the archive; the process that wrote the installation is killed."""
    home = Path(tempfile.mkdtemp())
    child = os.fork()
    if not child:
        traffic = Traffic(home)
        traffic.run()
        (home / "truth.json").write_text(json.dumps({"now": traffic.clock(), "rows": traffic.truth}))
        os._exit(0)
    os.waitpid(child, 0)
    database = sqlite3.connect(home / "abloop.db")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(home.rglob("*")):
            if path.is_file() and not path.name.endswith(("-wal", "-shm")):
                out.write(path, path.relative_to(home))


if __name__ == "__main__":
    main(sys.argv[1])
