# Each target sets itself up: nothing but Python 3.11+ and pip is needed beforehand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help install extras demo dev test lint bench stress mutants security clean lock

help: ## Show the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## Make .venv with the locked dependencies and the project

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, found " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11")'
	@echo "Installing the locked dependencies into $(VENV) (about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

extras: $(VENV)/.extras ## Add what only some need: redaction of prompts, security and mutation tools

$(VENV)/.extras: $(VENV)/.installed requirements-extras.lock
	@echo "Installing the locked extras into $(VENV) (about a minute) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-extras.lock
	@touch $@

demo: install ## Run the whole way once: broker, traffic, capture, usage table, ledger comparison
	@$(BIN)/oai-usage demo

dev: install ## The same, live, with `dagster dev`, until Ctrl-C
	@$(BIN)/oai-usage dev

test: install ## Lint, type-check and run the tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest

lint: install ## Format the code and show what the linters say
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/mypy

bench: install ## Run the benchmarks, each as a ratio to a reference measured in the same run
	@$(BIN)/python -m benchmarks

stress: install ## Try for MINUTES=10 to lose, double, alter or leak an event, and show the figures
	@$(BIN)/python -m stress --minutes $(or $(MINUTES),10)

mutants: extras ## Change the core modules line by line, and show which changes no test sees (an hour)
	@$(BIN)/python -m stress.mutants

# Without its advisories pip-audit skips every package and calls that clean: --strict makes it fail instead.
LOCKS := requirements.lock requirements-extras.lock

security: extras ## Check the code (bandit), list the dependencies (SBOM in build/), and audit the locks (pip-audit)
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive oai_usage_pipeline && echo "bandit: nothing found"
	@mkdir -p build
	@awk '/^[^ ]/ {is_new = !seen[$$1]++} is_new' $(LOCKS) | $(BIN)/python -W ignore -m cyclonedx_py requirements - --pyproject pyproject.toml --output-reproducible --output-file build/sbom.cdx.json
	@echo "SBOM: build/sbom.cdx.json, all that these pin: $(LOCKS)"
	@$(BIN)/pip-audit --strict --progress-spinner off --disable-pip --require-hashes $(LOCKS:%=-r %) || \
		{ echo "pip-audit: not passed. If it says that a package could not be audited or a host not be resolved, the"; \
		echo "advisories of the package index can't be reached from here, and NOTHING is known about vulnerabilities."; exit 1; }

clean: ## Remove the environment and what the demo and dev commands wrote
	rm -rf $(VENV) data build *.egg-info

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--no-annotate --no-header --no-emit-index-url pyproject.toml

lock: ## Renew requirements.lock and requirements-extras.lock (needs uv)
	$(COMPILE) --extra azure --extra dev --extra postgres --output-file requirements.lock
	$(COMPILE) --extra redaction --extra tools --constraint requirements.lock --output-file requirements-extras.lock
