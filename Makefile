# What can be done here; `make help` lists it.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint format docs bench-data bench-billion lock clean

# The newest Python that the locked packages are for.
PYTHON ?= $(shell for version in 3.12 3.11; do \
	if python$$version -c 'import venv' 2>/dev/null; then echo python$$version; break; fi; done)
BIN := .venv/bin

help: ## List these targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: .venv/installed ## Run everything on the simulated archive; results in results/demo.
	$(BIN)/snakemake --cores all --config dataset=demo

test: .venv/installed ## Run all checks and tests.
	$(BIN)/python -m pytest

lint: .venv/installed ## Check style, types and rules.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint --config dataset=demo

format: .venv/installed ## Bring the code into shape.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

docs: .venv/installed ## Write docs/settings.md and docs/features.md anew.
	$(BIN)/python docs/generate.py

bench-data: .venv/installed-benchmarks ## Compare the data stage with DuckDB, Polars and pandas.
	$(BIN)/python benchmarks/bench_data.py --scaling

bench-billion: .venv/installed ## Run the data stage on a billion ratings (some 15 minutes, 45 GB).
	$(BIN)/python benchmarks/bench_billion.py

lock: ## Resolve requirements.in to requirements.txt (needs uv).
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --quiet requirements.in -o requirements.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --quiet benchmarks/requirements.in -c requirements.txt \
		-o benchmarks/requirements.txt

clean: ## Remove the environment, the results and all caches.
	rm -rf .venv .snakemake results resources .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find scripts tests -name __pycache__ -type d -exec rm -rf {} +

.venv/installed: requirements.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: Python 3.11 or 3.12 with venv is needed, and neither python3.12 nor python3.11" \
			"is on the PATH; install one, or say where it is: make PYTHON=/path/to/python3.12"; \
		exit 1; \
	fi
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	touch $@

.venv/installed-benchmarks: .venv/installed benchmarks/requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/requirements.txt
	touch $@
