"""Tuning: policy weights as a sequence of real A/B tests, each round proposed from all rounds before."""
