# Every task of this repository: `make help` lists them. They need only GNU make and Python 3.11 or newer.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
SOURCES := bff gateway streamlit_kit deploy/demo deploy/release.py tests

# What `make dev` runs. For your own app: make dev DIR=../mine APP=app.py API=main:app AS=alice:analyst. Without DIR it
# runs the demo, which has an API. In your own folder it runs an API only if you name one.
DIR ?= deploy/demo
APP ?= app.py
ifeq ($(DIR),deploy/demo)
API ?= api:app
endif
# Not `?=`: make itself sets AS to the assembler, and so do the environments of many toolchains.
ifneq ($(origin AS),command line)
AS := alice:analyst
endif
# Further arguments: make test ARGS="-k logout", make demo PORT=9000
ARGS ?=
PORT ?=
ONLY ?=
COMMA := ,
# How many processes run test files at the same time; most tests wait. JOBS=0 runs them one after the other.
JOBS ?= 3

.DEFAULT_GOAL := help
.PHONY: help venv check test test-long demo dev bench docs wheel release lock clean

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

venv: $(STAMP) ## create .venv and install the pinned packages (PYTHON=... to choose the interpreter)
	@echo "$(VENV) is ready, with $$($(PY) --version)"

# As root on Debian, checks and tests may install python3-venv if it is missing. The demo only names it.
check test test-long bench: export MAY_INSTALL = 1

$(STAMP): deploy/constraints.txt pyproject.toml deploy/make-venv.sh
	@sh deploy/make-venv.sh $(VENV)
	@touch $@

check: $(STAMP) ## check lint, formatting, types, import order, documentation
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy --strict $(SOURCES)
	@$(PY) -m pytest --quiet --no-header tests/test_layering.py
	@$(MAKE) --no-print-directory docs

test: $(STAMP) ## install missing test components where that is possible, then run the tests (ARGS="-k logout")
	@$(PY) -m tests.components ensure
	@$(PY) -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: $(STAMP) ## run the tests that take minutes each
	@$(PY) -m tests.components ensure
	@$(PY) -m pytest -m long $(ARGS)

demo: $(STAMP) ## run the whole system on this machine: provider, API, Streamlit app, front door (PORT=9000)
	@$(VENV)/bin/vestibule demo --port-option PORT= $(if $(PORT),--port $(PORT)) $(ARGS)

dev: $(STAMP) ## run your own script and API behind a mock provider, with reload (DIR=../mine APP=app.py API=main:app)
	@cd $(DIR) && exec $(CURDIR)/$(VENV)/bin/vestibule dev $(APP) $(if $(API),--api $(API)) --as $(AS) --port-option PORT= $(if $(PORT),--port $(PORT)) $(ARGS)

bench: $(STAMP) ## measure the speed (ONLY=verify or ONLY=sessions,sign_in for a part)
	@$(PY) -m tests.components ensure
	@$(PY) -m pytest -m bench -s $(foreach part,$(subst $(COMMA), ,$(ONLY)),tests/bench/test_$(part)_bench.py) $(ARGS)

docs: $(STAMP) ## build the pages of docs/ and the API reference in build/site
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --config-file deploy/site/mkdocs.yml

wheel: $(STAMP) ## build the package in dist/
	@$(PY) -m pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir dist .
	@ls dist

release: check test ## set the version, close the changelog, commit and tag (VERSION=1.2.3)
	@$(PY) deploy/release.py $(VERSION)

lock: ## refresh deploy/constraints.txt from pyproject.toml (needs uv; ARGS=--upgrade for newest versions)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/"; exit 1; }
	uv pip compile pyproject.toml --all-extras --universal --generate-hashes --no-header --no-annotate \
		-o deploy/constraints.txt $(ARGS)

clean: ## remove .venv, caches and test artefacts
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info tests/artefacts
	find bff gateway streamlit_kit tests deploy -type d -name __pycache__ -prune -exec rm -rf {} +
