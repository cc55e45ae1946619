"""Generated requests find nothing: no 5xx, no status, type or answer that the OpenAPI document does not name."""

from __future__ import annotations

import os

import pytest

from tests.server.api.fuzz import fuzz

CALLS = int(os.environ.get("ABLOOP_FUZZ", "1200"))  # `make fuzz` asks for 25,000, a fifth of which may be left out
PARTS = 4  # so that they run beside each other, on each kind of database


@pytest.mark.filterwarnings("ignore")  # schemathesis's own
@pytest.mark.parametrize("part", range(PARTS))
def test_every_endpoint_under_generated_requests(database_url: str, part: int) -> None:
    """Right and wrong requests to each endpoint are answered as the document says, and wrong ones refused."""
    share = CALLS // PARTS // 2
    found = fuzz(
        share, seed=part + PARTS * database_url.startswith("postgres"), part=part, parts=PARTS, url=database_url
    )
    assert found["failures"] == {}
    assert found["calls"] >= 0.8 * share
    assert max(found["statuses"]) < 500
