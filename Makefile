# Two commands do everything, set-up included: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: run test test-slow check lint types imports docs build benchmark miniatures judges setup clean

run: $(INSTALLED)  ## run the example study through all stages
	$(BIN)/colfw run examples/colfw-tiny/study.toml

test: $(INSTALLED)  ## the whole test suite
	$(BIN)/pytest -n auto

test-slow: $(INSTALLED)  ## the tests that take longer than ten seconds
	$(BIN)/pytest -n auto -m slow

check: lint types imports  ## everything that reads the code without running it

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

imports: $(INSTALLED)
	$(BIN)/lint-imports

docs: $(INSTALLED)  ## generate the pages that are made from the code
	$(BIN)/python docs/generate.py

build: $(INSTALLED)  ## the wheel, as users get it
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

benchmark: $(INSTALLED)
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/dram.py
	$(BIN)/python benchmarks/skipping.py
	$(BIN)/python benchmarks/profiler.py
	$(BIN)/python benchmarks/masking.py

miniatures: $(INSTALLED)  ## train the shipped denoisers again: ten minutes of one core
	$(BIN)/python tools/train_miniatures.py

judges: $(INSTALLED)  ## train the classifiers that judge them again, and measure what they see
	$(BIN)/python tools/train_judges.py

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt examples/colfw-tiny/pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'colfw needs Python 3.11 or newer; name one: make PYTHON=python3.12 run')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/python -m pip install --quiet --no-deps --editable examples/colfw-tiny
	touch $@

clean:
	rm -rf $(VENV) dist build runs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .numba_cache
