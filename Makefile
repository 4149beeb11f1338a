# Each target sets itself up: nothing but Python 3.11+ and pip is needed beforehand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help install demo dev test lint bench clean lock

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

clean: ## Remove the environment and what the demo and dev commands wrote
	rm -rf $(VENV) data build *.egg-info

lock: ## Renew requirements.lock (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
		--no-annotate --no-header --no-emit-index-url --all-extras pyproject.toml --output-file requirements.lock
