# make setup | demo VIDEO=me.mp4 | test | lint | format | clean
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0
READY := $(VENV)/.ready

export OMP_WAIT_POLICY ?= passive

.PHONY: setup demo video-given test lint format clean

setup: $(READY)

$(READY): requirements.txt
	$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 12) else f'Python 3.11 or 3.12 is needed, this is {sys.version.split()[0]}; try: make PYTHON=python3.11 $(MAKECMDGOALS)')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
	touch $(READY)
	@echo "Ready: source $(VENV)/bin/activate"

# A small portrait of the person in VIDEO, on the CPU: results/demo/video.mp4
demo: video-given $(READY)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/snakemake --configfile config/demo.yaml --cores all \
		--config 'subjects={"demo": {"video": "$(VIDEO)"}}' -- results/demo/video.mp4
	@echo "Look at results/demo/video.mp4"

video-given:
	@test -f "$(VIDEO)" || { echo "error: make demo VIDEO=me.mp4 needs a video file, got VIDEO='$(VIDEO)'"; exit 2; }

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
