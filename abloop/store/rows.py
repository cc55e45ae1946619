"""Rows of feature groups, and what reads them: types alone, so that product code loads no database library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Row = Mapping[str, Any] | None
Fetch = Callable[[str], Row]
Source = str | Fetch
