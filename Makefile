# Every target sets up .venv by itself when it is missing or older than pyproject.toml or constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST_ARGS ?=
BENCH_ARGS ?=
# Tests run in as many processes as there are cores, each with one thread: two processes with two threads each would
# wait for each other. WORKERS=0 runs them in this process.
WORKERS ?= auto
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow test-all coverage lowest lint types check docs audit-deps licences sbom clean bench gpu

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "PYTHON: expected Python 3.11 or newer, got $$($(PYTHON) --version 2>&1); run e.g. 'make PYTHON=python3.12'" >&2; exit 2; }
	@test -x $(BIN)/python || { echo "make: creating $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv $(VENV); }
	@echo "make: installing the package and its pinned dependencies into $(VENV) (several minutes the first time)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@

venv: $(READY)  ## Set up .venv and stop

demo: $(READY)  ## Audit the embedded models on the embedded images and print where the report is
	@echo "make: auditing two models on the embedded images into demo-report/"
	@$(BIN)/robustness demo --out demo-report

test: $(READY)  ## Run the tests, without the slow ones
	@echo "make: running the tests (the slow ones are 'make test-slow')"
	@$(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-slow: $(READY)  ## Run only the slow tests
	@echo "make: running the slow tests"
	@$(PYTEST) -m slow $(PYTEST_ARGS)

test-all: $(READY)  ## Run every test
	@echo "make: running every test"
	@$(PYTEST) $(PYTEST_ARGS)

coverage: $(READY)  ## Run the tests, without the slow ones, and hold the share of lines and branches that they reach above the floor
	@echo "make: running the tests under coverage"
	@$(BIN)/coverage erase
	@OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest -n $(WORKERS) --dist worksteal -m "not slow" $(PYTEST_ARGS)
	@$(BIN)/coverage combine -q
	@mkdir -p build
	@$(BIN)/coverage report --skip-covered --sort=cover > build/coverage.txt; status=$$?; tail -n 40 build/coverage.txt; exit $$status

lowest:  ## Install the lowest versions that pyproject.toml allows into .venv-lowest and run a smoke set
	@echo "make: installing the lower bounds of pyproject.toml into .venv-lowest"
	@test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	@for packages in $(VENV)/lib/python3*/site-packages; do test ! -d $$packages || \
		$(PYTHON) .ci/lower_bounds.py --link $$packages $$(echo .venv-lowest/lib/python3*/site-packages); done
	@$(PYTHON) .ci/lower_bounds.py > build-lowest.txt
	@.venv-lowest/bin/python -m pip install -qq --disable-pip-version-check -e . -r build-lowest.txt
	@OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -q -p no:cacheprovider -W default tests/robustness/workflows/test_zero_shot.py \
		tests/metrics/scores tests/metrics/inference tests/perturb/prompt tests/robustness/plans -m "not slow"

bench: $(READY)  ## Run every benchmark (BENCH_ARGS="NAME ... --against CHECKOUT") and write its table
	@echo "make: running benchmarks one after the other; use an idle machine"
	@$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

gpu: $(READY)  ## Measure all networks on this machine's GPU (or CPU) and print a table
	@$(BIN)/python benchmarks/gpu.py --out benchmarks/gpu.json --page docs/performance.md

lint: $(READY)  ## Check the format and the lint rules
	@echo "make: checking format and lint rules"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(READY)  ## Check the types, with the rooms laid out as installed
	@echo "make: checking types"
	@$(BIN)/python .ci/typed_tree.py build/typed
	@$(BIN)/python -m mypy

check: lint types coverage  ## Check format, lint rules and types, then run the tests under coverage

docs: $(READY)  ## Write docs/cli.md again, build the site into build/site without a warning, count its links and blocks of code
	@echo "make: writing docs/cli.md"
	@$(BIN)/python .ci/cli_docs.py docs/cli.md
	@echo "make: building the site into build/site"
	@$(BIN)/python .ci/typed_tree.py build/typed
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@$(BIN)/python .ci/site_check.py build/site

TOOLS := build/tools
$(TOOLS)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install -qq --disable-pip-version-check pip-audit==2.10.1 cyclonedx-bom==7.5.0
	@touch $@

audit-deps: $(READY) $(TOOLS)/.ready  ## Look up advisories about the installed dependencies
	@$(TOOLS)/bin/python .ci/supply_chain.py advisories --python $(BIN)/python

licences: $(READY)  ## List the licences of the installed dependencies
	@$(BIN)/python .ci/supply_chain.py licences

sbom: $(READY) $(TOOLS)/.ready  ## Write build/sbom.json, a bill of materials (CycloneDX)
	@$(TOOLS)/bin/python .ci/supply_chain.py sbom --python $(BIN)/python

clean:  ## Remove what was built or made here, .venv included
	@echo "make: removing .venv, build/, dist/, demo-report/ and caches"
	@rm -rf $(VENV) .venv-lowest build-lowest.txt build dist demo-report *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
