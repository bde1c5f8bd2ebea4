# All you need to start: `make run` and `make test`. Needs Python 3.11 or later, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= 1

.DEFAULT_GOAL := help
.PHONY: help run test test-fast test-matrix upgrade-dump check bench bench-harm screenshots deploy-files format lock clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

# One environment for everything that the hub and its tests need. Updated when a requirements file changes. An
# incomplete environment has no stamp, and the next call completes it.
$(VENV)/.stamp: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed; $(PYTHON) is `$(PYTHON) -V 2>&1`. Name another: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Preparing $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

run: $(VENV)/.stamp ## Start the hub on port 9580 with demo data (DEMO=0: without)
	@exec $(BIN)/python manage.py run $(if $(filter 0,$(DEMO)),,--demo)

test: $(VENV)/.stamp ## Run all tests
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)
	@echo "Once more on PostgreSQL, what asks the database:"
	@$(BIN)/python -m tests.support.with_postgres $(BIN)/python -m pytest -p tests.support.only_database -n 2 --quiet $(ARGS)

test-fast: $(VENV)/.stamp ## Run the tests that start no server, program or browser and request no page (under a minute)
	@$(BIN)/python -m pytest -m fast -n 2 --quiet $(ARGS)

check: $(VENV)/.stamp ## Lint, types, Django's own checks, migrations, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -W error manage.py check
	@$(BIN)/python -W error manage.py makemigrations --check --dry-run
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/.stamp ## Compare the hub with a plain SDK-based exporter (AGAINST=<commit>: with an older version)
	@$(BIN)/python -m bench$(if $(AGAINST),.versus $(AGAINST)) $(ARGS)

bench-harm: $(VENV)/.stamp ## Show how the budget protects a namespace's senders (4 minutes; needs prometheus)
	@$(BIN)/python -m bench.harm

screenshots: $(VENV)/.stamp ## Take screenshots of the pages into var/screenshots/ and update docs/images/ (needs Chromium)
	@$(BIN)/python -m tests.browser.screenshots

deploy-files: $(VENV)/.stamp ## Generate files in deploy/: the dashboards and the rules for the Prometheus Operator
	@$(BIN)/python deploy/grafana/make.py
	@$(BIN)/python deploy/kubernetes/make.py

format: $(VENV)/.stamp ## Format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

upgrade-dump: $(VENV)/.stamp ## For a release: dump its database for later upgrade tests (needs PostgreSQL)
	@$(BIN)/python -m tests.upgrades.make

test-matrix: $(VENV)/.stamp ## Run all tests on every newer Python on this machine, with the pinned and the newest Django
	@$(BIN)/python -m tests.support.python_versions $(ARGS)

lock: $(VENV)/.stamp ## Update the pinned requirements from pyproject.toml (needs uv)
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header pyproject.toml -o requirements.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --group dev -c requirements.txt pyproject.toml -o requirements-dev.txt

clean: ## Remove generated files, but not var/ (the hub's data)
	rm -rf $(VENV) staticfiles .mypy_cache .ruff_cache .pytest_cache .hypothesis
