# What can be done here; `make help` lists it.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo check test test-slurm mutants lint format docs site screenshot bench-data bench-billion bench-cache bench-full bench-training \
	audit lock clean

# The newest Python that the locked packages are for.
PYTHON ?= $(shell for version in 3.13 3.12 3.11; do \
	if python$$version -c 'import venv' 2>/dev/null; then echo python$$version; break; fi; done)
BIN := .venv/bin
# What is made and tested here runs with the packages of .venv, whatever conda is on the PATH.
export POPULARITY_CONDA := no
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes

help: ## List these targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

install: .venv/installed ## Make .venv with all packages.

demo: .venv/installed ## Run everything on the simulated archive; results in results/demo.
	$(BIN)/snakemake --cores all --config dataset=demo

check: .venv/installed-tests ## Check style and types and run the unit tests (2 minutes on 2 cores).
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal tests/unit

# File by file, those that take longest first, so that both processes end at about the same time.
test: check .venv/installed-torch .venv/installed-chromium ## Run all checks and tests.
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder tests/workflow tests/programs

test-slurm: .venv-slurm/installed ## Test the workflow on a private Slurm cluster (some 10 minutes).
	tests/slurm/install-packages
	.venv-slurm/bin/python -m pytest tests/slurm

mutants: .venv/installed-tests ## Change the code in one place at a time: do the tests notice (an hour or more)?
	$(BIN)/python tests/mutants.py

lint: .venv/installed-tests ## Check style, types and rules.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint --config dataset=demo

format: .venv/installed-tests ## Bring the code into shape.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

docs: .venv/installed ## Write docs/settings.md, docs/features.md and docs/stages.png anew.
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/stages.py

site: .venv/installed-tests ## Build the documents as a site, in site/.
	$(BIN)/mkdocs build --quiet

screenshot: .venv/installed-chromium ## Take the README's pictures anew from the finished demo.
	$(BIN)/python tests/browser.py results/demo/report.html docs/report.png
	cp results/demo/plots/leaderboard.png docs/leaderboard.png

bench-data: .venv/installed-benchmarks ## Compare the data stage with DuckDB, Polars and pandas.
	$(BIN)/python benchmarks/bench_data.py --scaling

bench-billion: .venv/installed ## Run the data stage on a billion ratings (some 15 minutes, 45 GB); --models runs the models, too.
	$(BIN)/python benchmarks/bench_billion.py

bench-cache: .venv/installed ## Replay a test period of ml-latest's size against caches.
	$(BIN)/python benchmarks/bench_cache.py

bench-full: .venv/installed ## Run the whole graph on an archive of ml-latest's size (some 25 minutes).
	$(BIN)/python benchmarks/bench_full.py

bench-training: .venv/installed-torch .venv-neuralforecast/installed ## Compare training with PyTorch and neuralforecast.
	$(BIN)/python benchmarks/bench_training.py

audit: ## Look the locked packages up among the known vulnerabilities (needs a network).
	for part in . tests benchmarks; do \
		uvx pip-audit --disable-pip --require-hashes --strict -r $$part/requirements.txt; \
	done
	uvx pip-audit --disable-pip --require-hashes --strict -r benchmarks/requirements-neuralforecast.txt

COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate --quiet

lock: ## Resolve each requirements.in to a requirements.txt (needs uv).
	$(COMPILE) requirements.in -o requirements.txt
	for part in tests tests/slurm benchmarks; do \
		$(COMPILE) $$part/requirements.in -c requirements.txt -o $$part/requirements.txt; \
	done
	$(COMPILE) benchmarks/requirements-neuralforecast.in -o benchmarks/requirements-neuralforecast.txt \
		--override <(echo 'torch ; python_version < "3"')

clean: ## Remove the environment, the results and all caches.
	rm -rf .venv .venv-slurm .venv-neuralforecast .snakemake results resources site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find scripts tests -name __pycache__ -type d -exec rm -rf {} +

.venv/installed: requirements.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: Python 3.11, 3.12 or 3.13 with venv is needed, and none of them" \
			"is on the PATH; install one, or say where it is: make PYTHON=/path/to/python3.13"; \
		exit 1; \
	fi
	$(PYTHON) -m venv .venv
	$(INSTALL) -r requirements.txt
	touch $@

.venv/installed-%: .venv/installed %/requirements.txt
	$(INSTALL) -r $*/requirements.txt
	touch $@

# PyTorch's build for CPUs is not on every index: without it the tests of that backend are skipped.
.venv/installed-torch: .venv/installed-tests tests/requirements-torch.txt
	$(INSTALL) --no-deps -r tests/requirements-torch.txt || echo "PyTorch for CPUs was not found."
	touch $@

# Snakemake loads each executor plugin that it finds at every start, so those of clusters have an
# environment of their own, on top of the other one.
.venv-slurm/installed: .venv/installed-tests tests/slurm/requirements.txt
	$(BIN)/python -m venv .venv-slurm
	packages=$$(cd .venv && echo lib/python3*/site-packages); \
	echo "import site; site.addsitedir('$(CURDIR)/.venv/$$packages')" > .venv-slurm/$$packages/on-top.pth
	.venv-slurm/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/slurm/requirements.txt
	touch $@

# neuralforecast wants versions of its own. Without PyTorch or a network the rest is compared.
.venv-neuralforecast/installed: .venv/installed benchmarks/requirements-neuralforecast.txt tests/requirements-torch.txt
	$(BIN)/python -m venv .venv-neuralforecast
	pip=".venv-neuralforecast/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps"; \
	$$pip -r tests/requirements-torch.txt && $$pip -r benchmarks/requirements-neuralforecast.txt && touch $@ \
		|| { rm -rf .venv-neuralforecast; echo "neuralforecast was not installed."; }

# The browser that opens the report in tests/workflow/test_report.py, which is skipped where there is none.
.venv/installed-chromium: .venv/installed-tests
	@if ! command -v chromium > /dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		apt-get update --quiet=2 && apt-get install --yes --quiet=2 --no-install-recommends chromium \
			|| echo "Chromium was not installed."; \
	fi
	touch $@
