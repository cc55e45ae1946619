"""Ax, asked for once and kept quiet: it speaks of every trial where a product's log is."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from abloop.errors import MissingExtraError


def new_client(seed: int, purpose: str) -> Any:
    """Return an empty Ax client.

    Args:
        seed: Makes what it proposes repeatable.
        purpose: Who asks, for the message where Ax is not installed.

    Raises:
        MissingExtraError: ax-platform is not installed.
    """
    before = logging.root.manager.disable
    logging.disable(max(before, logging.INFO))  # while it is imported
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the libraries' own
            from ax.api.client import Client
    except ImportError as error:
        raise MissingExtraError(f"{purpose} needs ax-platform: pip install 'abloop[tune]'") from error
    finally:
        logging.disable(before)
    for name in [name for name in logging.root.manager.loggerDict if name == "ax" or name.startswith("ax.")]:
        logging.getLogger(name).setLevel(logging.ERROR)
    return Client(random_seed=seed)
