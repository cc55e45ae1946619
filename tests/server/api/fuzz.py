"""Generated requests to every endpoint of the API: `python -m tests.server.api.fuzz [CALLS] [SEED]`.

Schemathesis makes requests of the OpenAPI document, right and wrong ones, against a server with some strategies, rows
and models. What may not happen: a status of 500 or above, a status or a media type that the document does not name, an
answer that is not as the document says, a wrong request that is taken.
"""

from __future__ import annotations

import collections
import random
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import hypothesis
import schemathesis
from flask import Flask
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from server import Config, create_app
from tests.server.people import bearer

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
SLOW = {"get_effects", "post_propose", "post_erasure"}  # up to seconds each: a twentieth of the calls
SHOP: dict[str, Any] = {
    "strategy": "shop",
    "arms": [{"name": "blue"}, {"name": "green"}],
    "metrics": [{"name": "bought"}, {"name": "kept", "by": "unit", "window": 86_400.0}],
    "features": [{"name": "country", "type": "categorical"}, {"name": "visits"}],
}
FEED: dict[str, Any] = {
    "strategy": "feed",
    "space": {"type": "ordering"},
    "metrics": [{"name": "clicked"}],
    "features": [{"name": "age"}],
    "policy": {"formula": "w - age", "weights": [{"name": "w", "value": 1, "low": 0, "high": 2}]},
}
WORDS = {  # what a caller would fill in, so that not every request ends at a name that is not there
    "strategy": ["shop", "feed", "shop", "none", ""],
    "decision_id": ["d1", "d2/0", "new"],
    "arm": ["blue", "green"],
    "force": ["", "blue"],
    "drawn": ["", "green"],
    "unit": ["u1", "u2"],
    "group": ["person"],
}


def open_app(url: str, directory: Path) -> tuple[Flask, dict[str, str]]:
    """Return a server with some strategies, and the headers of a token that may do everything."""
    app = create_app(url, directory, config=Config(rate="", calls=0))
    headers = bearer(app, "read", "edit", "ingest", "admin")
    browser = app.test_client()
    for blueprint in (SHOP, {**SHOP, "unit": "customer"}, FEED):
        made = browser.post("/v1/blueprints", json={"blueprint": blueprint, "why": "fuzz"}, headers=headers)
        assert made.status_code == 201, made.text
    for index in range(20):
        asked = {"strategy": "shop", "decision_id": f"d{index}", "context": {"customer": f"u{index}", "visits": index}}
        assert browser.post("/v1/decisions", json=asked, headers=headers).status_code == 200
    return app, headers


def fuzz(calls: int, seed: int = 0, part: int = 0, parts: int = 1, url: str = "") -> dict[str, Any]:
    """Make so many calls and return what they gave.

    Args:
        calls: About how many.
        seed: Of the generation.
        part: Which part of the endpoints.
        parts: In how many parts they are cut.
        url: An empty database; a new SQLite file where empty.

    Returns:
        `calls`, `statuses` with their counts, and `failures`: text to how often it came.
    """
    statuses: collections.Counter[int] = collections.Counter()
    failures: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        app, headers = open_app(url or f"sqlite:///{name}/abloop.db", Path(name) / "files")
        loaded = schemathesis.openapi.from_wsgi("/openapi.json", app, headers=headers)
        loaded.config.generation.modes = list(schemathesis.GenerationMode)
        operations = [each.ok() for each in loaded.get_all_operations()]
        operations = operations[part::parts]
        slow = [each.definition.raw["operationId"] in SLOW for each in operations]
        share = calls / (len(operations) - 0.95 * sum(slow))
        rng = random.Random(seed)
        for operation, is_slow in zip(operations, slow, strict=True):
            _run(operation, round(share * (0.05 if is_slow else 1.0) + 0.5), rng, headers, statuses, failures)
        app.extensions["abloop"].close()
    return {"calls": statuses.total(), "statuses": dict(sorted(statuses.items())), "failures": dict(failures)}


def _run(operation: Any, calls: int, rng: random.Random, headers: dict[str, str], statuses: Any, failures: Any) -> None:
    """Call one operation so many times."""

    @hypothesis.seed(rng.getrandbits(32))
    @hypothesis.settings(
        max_examples=calls,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(), fill=hypothesis.strategies.randoms(use_true_random=False))
    def call(case: Any, fill: random.Random) -> None:
        if fill.random() < 0.6 and case.meta is not None and case.meta.generation.mode.is_positive:
            case.query = _filled(case.query, fill)
            case.body = _filled(case.body, fill)
        response = case.call(headers=headers)
        statuses[response.status_code] += 1
        try:
            case.validate_response(response, checks=CHECKS)
        except Exception as error:  # whatever a check says
            said = str(error).split("\n\n")[0].replace("\n", " ")[:300]
            failures[f"{operation.label}: {response.status_code}: {said}: {str(error)[-600:]}"] += 1

    call()


def _filled(value: Any, fill: random.Random) -> Any:
    """Return a value with names that are there in the place of generated ones."""
    if isinstance(value, dict):
        return {
            key: fill.choice(WORDS[key]) if isinstance(item, str) and key in WORDS else _filled(item, fill)
            for key, item in value.items()
        }
    return [_filled(item, fill) for item in value] if isinstance(value, list) else value


def main() -> int:
    """Fuzz and print; the exit code is 1 where anything failed."""
    warnings.simplefilter("ignore")
    found = fuzz(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for text, count in found["failures"].items():
        sys.stdout.write(f"{count} x {text}\n\n")
    sys.stdout.write(
        f"{found['calls']:,} calls, statuses {found['statuses']}, {len(found['failures'])} kinds of failure\n"
    )
    return 1 if found["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
