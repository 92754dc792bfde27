# make run and make test set everything up first; VENV and PYTHON may be given.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ORACLE ?= .oracles/nuscenes

.PHONY: setup run test lint oracles bench docs clean

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Lightloom needs Python 3.11 or newer; name one with: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

run: setup
	$(BIN)/lightloom run onchip/digits

test: lint oracles
	LIGHTLOOM_NUSCENES_ORACLE=$(abspath $(ORACLE))/bin/python $(BIN)/python -m pytest -q -n 2

# the official nuScenes devkit, which cannot live beside numpy 2, for tests that compare with it
oracles: $(ORACLE)/ready

$(ORACLE)/ready: tests/oracles/nuscenes/requirements.txt
	$(PYTHON) -m venv $(ORACLE)
	$(ORACLE)/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

lint: setup
	$(BIN)/ruff format --check src tests examples
	$(BIN)/ruff check src tests examples
	$(BIN)/mypy

bench: setup
	$(BIN)/lightloom bench mesh --json
	$(BIN)/lightloom bench layer --json

docs: setup
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) .oracles site .mypy_cache .ruff_cache .pytest_cache
