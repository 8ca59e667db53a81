# make demo | test | test-hostile | test-faults | test-envs | test-slurm | accuracy | demo VIDEO=me.mp4
# make setup | lint | format | clean
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0
TRITON ?= triton==3.6.0
READY := $(VENV)/.ready
CORES ?= all
FACE_MODEL ?= makehuman
WORKERS ?= 2
SNAKEMAKE = PATH="$(abspath $(BIN)):$$PATH" $(BIN)/snakemake --cores $(CORES)

export OMP_WAIT_POLICY ?= passive

# Whose portrait `make demo` makes: a synthetic person's, or that of the person in VIDEO. Its name
# may hold quotes and dollar signs: commands find it in the environment, Snakemake in a file.
ifeq ($(origin VIDEO),undefined)
SUBJECT := demo
SUBJECT_CONFIG := config/demo_subjects.yaml
else
SUBJECT := mine
SUBJECT_CONFIG := results/mine/subject.json
override VIDEO := $(value VIDEO)
export VIDEO
endif
MADE = $(addprefix results/$(SUBJECT)/,video.mp4 comparison.mp4 metrics.json deformation.png report)

.PHONY: demo test test-hostile test-faults test-envs test-slurm accuracy setup results/mine/subject.json lint format clean

# A small talking portrait on the CPU: results/demo/video.mp4, or with VIDEO results/mine/video.mp4
demo: $(SUBJECT_CONFIG) $(READY)
	$(SNAKEMAKE) --configfile config/demo.yaml $(SUBJECT_CONFIG) -- $(MADE)
	@$(BIN)/python -m ssp_nerf.summary --subject results/$(SUBJECT) --next $(SUBJECT)

test: $(READY) lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# Hostile and odd inputs, all of them; what each gave: docs/robustness.md
test-hostile: $(READY)
	FUZZ_EXAMPLES=100 $(BIN)/python -m pytest tests/hostile -m "" --robustness-table docs/robustness.md

# Kills, full disks, two at once, wrong clocks, all of them; what each gave: docs/faults.md. Another
# seed, other moments: FAULTS_SEED=1
test-faults: $(READY)
	$(BIN)/python -m pytest tests/faults -m "" --faults-table docs/faults.md

# What pip installs of each of the rules' conda environments, and that their commands start: some GB.
test-envs: $(READY)
	$(BIN)/python -m pytest -m thorough tests/workflow/test_envs.py

# The pipeline on a SLURM that the test starts, and what may go wrong there: needs Debian's slurm-wlm
# and munge, takes half an hour. Its jobs: results/slurm_jobs.md.
test-slurm: $(READY)
	$(BIN)/python -m pytest -m slurm -s tests/slurm

# How exact each stage is, on synthetic people whose truth is known: results/accuracy.json, .png.
# FACE_MODEL=ict fits a face model that they were not made of (config.yaml, face_model.model).
accuracy: $(READY)
	$(SNAKEMAKE) --configfile config/demo_subjects.yaml \
		--config "face_model={model: $(FACE_MODEL)}" -- results/accuracy.json
	@cat results/logs/accuracy.log
	@echo "As a picture: results/accuracy.png"

setup: $(READY)

$(READY): requirements.txt
	$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 12) else f'Python 3.11 or 3.12 is needed, this is {sys.version.split()[0]}; try: make PYTHON=python3.11 $(MAKECMDGOALS)')"
	@echo "Setting up $(VENV), 2 to 6 minutes: first PyTorch, then $$(grep -c == requirements.txt) packages"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps -r requirements.txt
	@# PyTorch's builds for GPUs bring Triton; beside one for CPUs its interpreter tests the kernels.
	$(BIN)/python -c "import triton" 2> /dev/null || \
		$(BIN)/python -m pip install --disable-pip-version-check --no-deps $(TRITON)
	touch $(READY)
	@echo "Ready: source $(VENV)/bin/activate"

results/mine/subject.json:
	@test -f "$$VIDEO" || { echo "error: make demo VIDEO=me.mp4 needs a video file, got VIDEO='$$VIDEO'"; exit 2; }
	@mkdir -p $(@D)
	@$(PYTHON) -c "import json, os; print(json.dumps({'subjects': {'mine': {'video': os.environ['VIDEO']}}}))" > $@

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
