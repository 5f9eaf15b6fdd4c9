PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MINIMUM := .venv-minimum
# Test files run side by side in so many processes, each of which computes with one thread.
WORKERS ?= 2
# `make fuzz` reads damaged files for so long, from this seed on.
SECONDS ?= 60
SEED ?= 1
PYTEST := -m pytest --numprocesses $(WORKERS) --dist loadfile

.PHONY: setup demo test test-slow test-minimum fuzz coverage check docs format

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[tflite,docs,dev]"
	# Where PYTHONDONTWRITEBYTECODE is set, every command would compile torch anew. Some packages hold files for other Pythons.
	$(BIN)/python -W ignore -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib natdeploy profilers export || true
	touch $@

demo: setup
	$(BIN)/natdeploy demo

test: check
	$(BIN)/python $(PYTEST)

test-slow: setup
	$(BIN)/python -m pytest -m slow

# Damaged files of every kind that natdeploy reads; those that are neither read nor refused are kept in fuzz-failures/.
fuzz: setup
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)

coverage: setup
	$(BIN)/python $(PYTEST) --cov --cov-report=term:skip-covered

# The lowest versions that pyproject.toml allows; uv chooses them.
test-minimum: $(MINIMUM)/.installed
	$(MINIMUM)/bin/python $(PYTEST)

$(MINIMUM)/.installed: pyproject.toml
	$(PYTHON) -m venv --clear $(MINIMUM)
	$(MINIMUM)/bin/python -m pip install --quiet uv
	$(MINIMUM)/bin/uv pip install --quiet --python $(MINIMUM) --resolution lowest-direct --compile-bytecode --editable ".[tflite,dev]"
	touch $@

check: setup docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
