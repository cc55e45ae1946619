"""Learners of heterogeneous effects: S, T and X on gradient-boosted trees, with shared outcome models."""
