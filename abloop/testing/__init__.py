"""Fakes for the tests of products that use abloop, and of abloop itself."""

from abloop.testing.clock import ManualClock

__all__ = ["ManualClock"]
