# make setup | test | lint | clean
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0
READY := $(VENV)/.ready

export OMP_WAIT_POLICY ?= passive

.PHONY: setup test lint format clean

setup: $(READY)

$(READY): requirements.txt
	$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 12) else f'Python 3.11 or 3.12 is needed, this is {sys.version.split()[0]}; try: make PYTHON=python3.11 $(MAKECMDGOALS)')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
	touch $(READY)
	@echo "Ready: source $(VENV)/bin/activate"

test: $(READY) lint
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache .snakemake
