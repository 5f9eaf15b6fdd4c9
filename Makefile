PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MINIMUM := .venv-minimum

.PHONY: setup demo test test-slow test-minimum check docs format

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
	$(BIN)/python -m pytest

test-slow: setup
	$(BIN)/python -m pytest -m slow

# The lowest versions that pyproject.toml allows; uv chooses them.
test-minimum: $(MINIMUM)/.installed
	$(MINIMUM)/bin/python -m pytest

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
