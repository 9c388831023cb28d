# One entrance for people and for CI: `make run` starts the product, `make test` tests it. Both set up what they need,
# and both may be run again at any time. `make` alone lists the rest.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check docs bench soak lock

VENV := .venv
BIN := $(VENV)/bin
# pip says what failed and nothing else.
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check --no-input

help: ## List what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

run: $(VENV)/.ready ## Set up, then filter on loopback ports with the sample lists
	@exec $(BIN)/filterproxy run -c config/filterproxy.toml --hints

test: $(VENV)/.ready ## Set up, then run all tests
	@$(BIN)/python -m pytest -q -ra

check: $(VENV)/.ready ## Style, types, layers, and whether the docs tell the truth
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/test_docs.py tests/test_layout.py

docs: $(VENV)/.ready ## Write anew what is generated: docs/configuration.md and config/filterproxy.toml
	@$(BIN)/python -m filterproxy.settings.reference

# Each prints its figures, and all are run, whether or not one falls short.
BENCHMARKS := cli_lines lists_lookups lists_compile lists_refresh lists_vs_peers \
              dns_vs_peers dns_misses dns_flood dns_workers dns_encrypted dns_transfer http_vs_peers

bench: $(VENV)/.ready bench-data/blocked.urls ## Measure the command line, lists of millions, and DNS and HTTP beside their peers
	@short=0; for script in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$script || short=1; done; exit $$short

soak: $(VENV)/.ready bench-data/blocked.urls ## Ten minutes of DNS and HTTP load, with an eye on memory
	@$(BIN)/python -m benchmarks.soak

lock: ## Resolve the dependencies anew (needs uv)
	@command -v uv >/dev/null || { echo 'make lock needs uv; no other command does.' >&2; exit 1; }
	uv pip compile -q --generate-hashes --no-header --no-annotate --universal --python-version 3.13 --group dev pyproject.toml -o requirements.lock
	uv pip compile -q --generate-hashes --no-header --no-annotate --universal --python-version 3.13 -c requirements.lock pyproject.toml -o requirements-runtime.lock
	uv pip compile -q --generate-hashes --no-header --no-annotate --universal --python-version 3.13 -c requirements.lock --excludes docker/without-inspection.txt pyproject.toml -o requirements-without-inspection.lock
	echo 'hatchling>=1.27' | uv pip compile -q --generate-hashes --no-header --no-annotate --universal --python-version 3.13 -c requirements.lock - -o docker/build.lock

bench-data/blocked.urls: benchmarks/make_data.py | $(VENV)/.ready
	@$(BIN)/python -m benchmarks.make_data bench-data

# A name on PATH may be a shim that only prints an error, so each candidate is run. PYTHON=… goes first.
# Debian splits `venv` off: without ensurepip no environment can be made.
$(BIN)/python:
	@for python in $(PYTHON) python3.13 python3.14 python3.15 python3.16 python3; do \
	  if "$$python" -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 13))' >/dev/null 2>&1; then \
	    echo "Making $(VENV) with $$("$$python" --version)."; \
	    exec "$$python" -m venv --clear $(VENV); \
	  fi; \
	done; \
	echo 'filterproxy needs Python 3.13 or newer with venv, and found none.' >&2; \
	echo 'Debian 13, Ubuntu 25.04 and newer: apt-get install python3 python3-venv. Elsewhere: pyenv install 3.13, or uv python install 3.13.' >&2; \
	exit 1

# Twice stamped, so that a changed setting of a tool does not ask for every package again.
$(VENV)/.locked: requirements.lock | $(BIN)/python
	@echo 'Installing what requirements.lock names (once; some 20 seconds).'
	@$(PIP) install --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.ready: pyproject.toml $(VENV)/.locked
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
