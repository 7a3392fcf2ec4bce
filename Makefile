# `make run` and `make test` need nothing but Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?=
HOST ?= 127.0.0.1
PORT ?= 4000
WORKERS ?= 1

.PHONY: run test check format lock bench compatibility routing clean

run: $(VENV)/.installed
	@exec $(BIN)/sekisho serve --host $(HOST) --port $(PORT) --workers $(WORKERS) $(if $(CONFIG),--config $(CONFIG))

test: $(VENV)/.installed-dev check
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

# Writes docs/compatibility.md from what the matrix test expects.
compatibility: $(VENV)/.installed-dev
	$(BIN)/python -m tests.matrix.table

# Plays the simulation of routing, which takes a minute or two, and writes docs/routing.md with its pictures.
routing: $(VENV)/.installed-dev
	$(BIN)/python -m tests.simulation

# Resolves anew for every platform and Python version that is supported.
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade
lock: $(BIN)/python
	$(BIN)/python -m pip install --quiet uv
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean:
	rm -rf $(VENV)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sekisho needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.lock
	@touch $@
