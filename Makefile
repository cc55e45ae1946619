# abloop: every target does its own set-up on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test long fuzz check bench serve clean

setup: .venv/.ready

# torch comes first and from pip, so that the CPU build is taken.
.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	touch $@

demo: setup
	$(BIN)/abloop demo

# Servers and the browser that tests need are installed where that may be done; elsewhere their tests are skipped by name.
# A worker that is done takes over half of what the other has left: the longest tests, which come first, are in one half.
test: setup
	.ci/services
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The long simulations: a minute of races, a million hostile calls, migrations of 100,000 rows in each table,
# 2,000 experiments beside each peer of the statistics, 100,000 altered artefacts.
long: setup
	ABLOOP_LONG=1 $(BIN)/python -m pytest -p no:xdist tests/faults tests/store/test_migrations.py tests/stats/test_peers.py \
		tests/truth tests/models/test_mutations.py

# At least 20,000 generated requests to the endpoints of the API: what is asked for, less the tries that say nothing new.
fuzz: setup
	ABLOOP_FUZZ=25000 $(BIN)/python -m pytest -n 2 tests/server/api/test_fuzz.py

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m benchmarks

serve: setup
	$(BIN)/abloop serve

clean:
	rm -rf .venv .venv-peers build dist *.egg-info
