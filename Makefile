# `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
SUITES := test-kill test-load test-fuzz test-scale

.PHONY: bench help demo test test-slow $(SUITES) coverage lint format docs clean

help:           ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

demo: .venv/installed      ## install, then serve the app on the built-in world at http://127.0.0.1:7860
	$(BIN)/python app.py

test: .venv/installed-dev  ## install, then run the tests that take seconds, in a browser too (one is found or fetched)
	$(BIN)/python tests/ui/browser.py
	$(BIN)/python -m pytest -m "not slow" --numprocesses auto --dist loadfile

test-slow: .venv/installed-dev  ## the tests that take minutes, and a table of them; test-kill, test-load, test-fuzz, test-scale: one suite
	$(BIN)/python -m pytest -m slow

$(SUITES): test-%: .venv/installed-dev
	$(BIN)/python -m pytest -m $*

bench: .venv/installed-dev  ## speed and memory against peers, into benchmarks/results and its README; QUICK=1: under 5 minutes, only printed; PEER=DIR: with clip-retrieval
ifdef QUICK
	$(BIN)/python benchmarks/bench.py --quick
else
	$(BIN)/python benchmarks/bench.py --results benchmarks/results $(if $(PEER),--peer $(PEER))
	$(BIN)/python benchmarks/render.py
endif

coverage: .venv/installed-dev  ## the tests again, with branch coverage of itr_core and analysis (at least 90 %)
	$(BIN)/python -m pytest -m "not slow" --cov --cov-report=term

lint: .venv/installed-dev  ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed-dev  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed-dev  ## build the documentation into site/, without the network; warnings are errors
	$(BIN)/python docs/generate.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

requirements.txt: pyproject.toml  ## what a Hugging Face Space installs, from pyproject
	$(PYTHON) -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > $@

clean:          ## remove the environment and caches of tools
	rm -rf .venv site *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@
