# make run and make test set everything up first; VENV and PYTHON may be given.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ORACLES ?= $(abspath .oracles)

.PHONY: setup run test lint oracles browser bench docs clean

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Lightloom needs Python 3.11 or newer; name one with: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

run: setup
	$(BIN)/lightloom run onchip/digits

test: lint oracles browser
	LIGHTLOOM_NUSCENES_ORACLE=$(ORACLES)/nuscenes/bin/python LIGHTLOOM_SAX_ORACLE=$(ORACLES)/sax/bin/python \
		$(BIN)/python -m pytest -q -n 2 --dist worksteal

# what tests compare with and cannot live beside the rest: the official nuScenes devkit, and SAX with JAX
oracles: $(ORACLES)/nuscenes/ready $(ORACLES)/sax/ready

# the devkit asks for an older NumPy than it needs
$(ORACLES)/nuscenes/ready: ORACLE_PIP = --no-deps

$(ORACLES)/%/ready: tests/oracles/%/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check $(ORACLE_PIP) -r $<
	@touch $@

# reports are tested in a real one; it is looked for on the path, or named by LIGHTLOOM_CHROMIUM
browser:
	@command -v "$${LIGHTLOOM_CHROMIUM:-chromium}" > /dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; \
		then apt-get update -qq && apt-get install -qq --no-install-recommends chromium > /dev/null; \
		else echo "There is no chromium, so the tests of pages are skipped; install it, or name one by LIGHTLOOM_CHROMIUM."; \
		fi; }

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
