# Everything that a newcomer types. `make` alone says what there is.

PYTHON ?= python3
WORKERS ?= auto

VENV := .venv
BIN := $(VENV)/bin
NODE_TESTS := tests/sdk/node
NODE_LOCK := $(wildcard $(NODE_TESTS)/package-lock.json)

PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-input
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml

# A stamp says that a step was done after the files that it depends on were last changed.
MADE := $(VENV)/made.stamp
INSTALLED := $(VENV)/installed.stamp
INSTALLED_DEV := $(VENV)/installed-dev.stamp
INSTALLED_NODE := $(VENV)/installed-node.stamp

.PHONY: help install dev test check docs bench lock clean
.DEFAULT_GOAL := help

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED) ## make .venv and install Tenantry in it

dev: $(INSTALLED) ## serve for development on http://127.0.0.1:4100, key sk_test_default
	@$(BIN)/tenantry dev

test: $(INSTALLED_DEV) $(INSTALLED_NODE) ## run every test, on SQLite and, where there is one, on PostgreSQL
	$(BIN)/pytest -n $(WORKERS)

check: $(INSTALLED_DEV) ## lint, format, types, import order, generated docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest --quiet tests/test_import_order.py
	$(BIN)/python scripts/docs.py --check

docs: $(INSTALLED_DEV) ## remake the pages of docs/ that are made from the code
	$(BIN)/python scripts/docs.py

bench: $(INSTALLED_DEV) ## measure rate, latency and memory with 100,000 organizations
	$(BIN)/python -m bench organizations

lock: $(INSTALLED_DEV) ## remake requirements.lock and requirements-dev.lock from pyproject.toml
	$(LOCK) --group build -o requirements.lock
	$(LOCK) --group dev -c requirements.lock -o requirements-dev.lock

clean: ## remove .venv and everything else that these commands made, but no data
	rm -rf $(VENV) $(NODE_TESTS)/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis
	find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@command -v $(PYTHON) >/dev/null || { \
	    echo "Tenantry needs Python 3.11 or newer, and there is no $(PYTHON)." >&2; \
	    echo "Name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Tenantry needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	    echo "Name another: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(INSTALLED): $(MADE) requirements.lock pyproject.toml
	@echo "Installing into $(VENV)"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(INSTALLED_DEV): $(INSTALLED) requirements-dev.lock
	@echo "Installing the tools for development into $(VENV)"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

$(INSTALLED_NODE): $(MADE) $(NODE_LOCK)
	@if command -v npm >/dev/null; then \
	    echo "Installing the SDKs for Node into $(NODE_TESTS)"; \
	    npm ci --prefix $(NODE_TESTS) --no-audit --no-fund --loglevel=error && touch $@; \
	else \
	    echo "!!! NO NPM: the tests that run on Node are skipped. Install nodejs and npm." >&2; \
	fi
