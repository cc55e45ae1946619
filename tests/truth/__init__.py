"""Simulations with a known truth: does each test keep the error rate and the coverage that it promises?

`python -m tests.truth` runs them all with 20,000 experiments each and writes `tests/truth/REPORT.md` (minutes);
`make test` runs a smaller dose of each. All are seeded. A rate out of n runs is judged with its Monte-Carlo
error, sqrt(p (1 - p) / n): the docstring of a test says how often it would fail by chance.
"""
