"""Worlds with known truth, real trials, and traffic that runs through the two calls."""
