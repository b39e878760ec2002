# What the README's commands call. Needs Python 3.11+ with pip and venv, make and git; everything else is set up here.

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .tools/bin/uv
TYPESCRIPT_VERSION := 5.9.3
TSC := .tools/typescript/node_modules/.bin/tsc
RUN := $(UV) run --frozen --no-sync
export UV_PROJECT_ENVIRONMENT := .venv
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check check-plugin lint lint-panel format guide screenshots bench clean

help: ## show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "copydesk needs Python 3.11 or newer; call make with PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# What building the panel fetches may have been removed while uv remembers the build.
CHARTS := panel/src/copydesk_panel/static/vendor

.venv/.ready: $(UV) uv.lock pyproject.toml core/pyproject.toml panel/pyproject.toml $(wildcard plugins/*/pyproject.toml panel/hatch_build.py)
	$(UV) sync --frozen --all-packages --python $$(command -v $(PYTHON)) $(if $(wildcard $(CHARTS)),,--reinstall-package copydesk-panel)
	@touch $@

setup: .venv/.ready ## set everything up in .venv

demo: setup ## a rehearsal venue, a parent, three children, a bot, and the panel's address
	$(RUN) copydesk demo

test: setup ## all tests
	$(RUN) python tests/gate.py -n 2 --dist loadgroup

check: lint ## format, lint, types and the tests of what is pure: before every commit
	$(RUN) pytest -q -n 2 -m "not slow and not browser" tests/core

check-plugin: setup ## one plugin's contract, and its README's table: P=binance (ALL=1: its other tests as well)
	@test -f tests/plugins/$(P)/test_contract.py || { echo "say which plugin: make check-plugin P=binance"; exit 2; }
	$(RUN) pytest -q --contract-table plugins/$(P)/README.md tests/plugins/$(P)$(if $(ALL),,/test_contract.py)

lint: setup ## format, lint and types
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	@$(MAKE) --no-print-directory lint-panel

lint-panel: setup # the types of the panel's modules: where npm is there, and always under CI
	@if command -v npm >/dev/null; then \
		test -x $(TSC) || npm install --prefix .tools/typescript --no-audit --no-fund --loglevel=error typescript@$(TYPESCRIPT_VERSION) >/dev/null && \
		$(TSC) -p panel/jsconfig.json && echo "The panel's modules: types are right."; \
	elif [ "$$CI" = true ]; then echo "npm is not installed: apt-get install npm" >&2; exit 1; \
	else echo "The panel's modules were not checked: npm is not installed."; fi

format: setup ## put the sources in order
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

guide: setup ## make docs/semantics.md of the scenarios
	PYTHONPATH=tests $(RUN) python -m harness.scenario.guide tests/scenarios docs/semantics.md

soak: setup ## make up stories for the engine for an hour (COPYDESK_SOAK_S seconds), and keep those that fail
	$(RUN) python tests/soak.py

mutants: setup ## run the fast tests against mutants of the pure engine; goes on where it was (ONLY=module, SAMPLE=25, SEED=1, SURVIVORS=1, QUICK=1, AGAIN=1, JOBS=1)
	$(UV) run --frozen --no-sync --with mutmut==3.8.1 python tests/mutants/run.py $(if $(ONLY),--only $(ONLY)) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) \
		$(if $(SURVIVORS),--survivors) $(if $(QUICK),--quick) $(if $(AGAIN),--again) $(if $(JOBS),--jobs $(JOBS))

screenshots: setup ## a tour of the panel as PNGs, into screenshots/
	$(RUN) python tests/browser/tour.py screenshots

bench: setup ## measure the fan-out against plain ccxt
	$(RUN) python benchmarks/fanout.py

clean: ## remove what was set up
	rm -rf .venv .tools dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
