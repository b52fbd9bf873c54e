# `make demo` sets everything up on a fresh machine and runs the main job on the shipped data.
# `make test` sets everything up and passes the tests; `make test-all` also passes those marked slow.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   ?= demo-run

export PATH := $(abspath $(BIN)):$(PATH)
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test test-all check benchmarks clean

demo: $(VENV)/.installed
	mms-dist demo --directory $(DEMO)

PYTEST := pytest -n 2 --dist loadscope --no-loadscope-reorder

test: check
	$(PYTEST)

test-all: check
	$(PYTEST) --slow

check: $(VENV)/.installed-test
	ruff check .
	ruff format --check .
	mypy
	lint-imports

benchmarks: $(VENV)/.installed-test
	python -m tests.benchmarks

# Without an NVIDIA GPU torch must not be the CUDA build, which is several gigabytes: constraints-cpu.txt names the release
# whose CPU build there is; with one, pyproject.toml's range decides.
CONSTRAINTS := $(if $(shell command -v nvidia-smi 2>/dev/null),,--constraint constraints-cpu.txt)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: pyproject.toml constraints-cpu.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml constraints-cpu.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) --editable '.[test]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) $(DEMO)
