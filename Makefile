# SPDX-License-Identifier: Apache-2.0
# `make demo` and `make test` work on a fresh Debian 12 machine; each installs only what it lacks.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
BIN := $(VENV)/bin
BUILD ?= build
export OMP_NUM_THREADS ?= 1

.PHONY: help
help: ## Say what each target does.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The tools of Debian: asked for one by one, so that a machine that has them installs nothing.
.PHONY: tools
tools:
	@missing=""; \
	command -v arm-none-eabi-gcc >/dev/null || missing="$$missing gcc-arm-none-eabi"; \
	{ command -v arm-none-eabi-gcc >/dev/null \
	    && [ -f "$$(arm-none-eabi-gcc -print-file-name=libc.a)" ]; } \
	    || missing="$$missing libnewlib-arm-none-eabi"; \
	command -v qemu-system-arm >/dev/null || missing="$$missing qemu-system-arm"; \
	command -v flite >/dev/null || missing="$$missing flite"; \
	command -v espeak-ng >/dev/null || missing="$$missing espeak-ng"; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
	    if ! command -v apt-get >/dev/null; then \
	        echo "make: missing:$$missing; there is no apt-get here, install them by hand" >&2; \
	        exit 1; \
	    elif [ "$$(id -u)" = 0 ]; then as_root=env; \
	    elif sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null; }; then \
	        as_root="sudo env"; \
	    else \
	        echo "make: missing:$$missing; as root, run: apt-get install$$missing" >&2; \
	        exit 1; \
	    fi; \
	    echo "Installing Debian's$$missing"; \
	    $$as_root apt-get update -qq; \
	    $$as_root DEBIAN_FRONTEND=noninteractive \
	        apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

# torch alone and first: another package's open range must not pull in a newer build.
$(VENV)/.installed: requirements.lock pyproject.toml
	@echo "Creating $(VENV) from requirements.lock (once, a few minutes)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "make: $(PYTHON) is older than 3.11; set PYTHON=" >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -qq --disable-pip-version-check \
	    "$$(grep '^torch==' requirements.lock)"
	@$(BIN)/pip install -qq --disable-pip-version-check -r requirements.lock
	@$(BIN)/pip install -qq --disable-pip-version-check \
	    --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: install
install: tools $(VENV)/.installed ## Install what is lacking: Debian's tools and a virtual environment.

.PHONY: demo
demo: install ## Spoken commands to text on an emulated Cortex-M55, from the bundled checkpoint.
	@$(BIN)/python -m examples.commands_ctc.demo --output $(BUILD)/demo

.PHONY: test
test: install ## All tests that need no downloaded checkpoint.
	@echo "Running the tests on $(JOBS) processes"
	@$(BIN)/python -m pytest -n $(JOBS) tests --ignore tests/accept

.PHONY: accept
accept: install ## The slow checks, on real checkpoints and hundreds of recordings.
	@echo "Running the acceptance checks on $(JOBS) processes"
	@$(BIN)/python -m pytest -n $(JOBS) tests/accept

.PHONY: train-commands
train-commands: install ## Train the bundled command recogniser again (about 15 minutes).
	@$(BIN)/python -m examples.commands_ctc.train

.PHONY: results
results: install ## Measure the figures of docs/results.md again.
	@$(BIN)/python -m benchmarks.results

.PHONY: results-models
results-models: install ## Those of Moonshine and Whisper; goes on where it was interrupted.
	@$(BIN)/python -m benchmarks.transcription
	@$(BIN)/python -m benchmarks.methods
	@$(BIN)/python -m benchmarks.few_bits
	@$(BIN)/python -m benchmarks.objectives
	@$(BIN)/python -m benchmarks.plans

.PHONY: docs
docs: install ## Generate docs/operators.md again.
	@$(BIN)/stapes operators --output docs/operators.md

.PHONY: lint
lint: $(VENV)/.installed ## ruff, mypy --strict and clang-format, changing nothing.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@git ls-files '*.c' '*.h' | xargs -r $(BIN)/clang-format --dry-run --Werror

.PHONY: format
format: $(VENV)/.installed ## Let ruff and clang-format rewrite the sources.
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .
	@git ls-files '*.c' '*.h' | xargs -r $(BIN)/clang-format -i

.PHONY: clean
clean: ## Remove what was built; the virtual environment stays.
	rm -rf $(BUILD) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
