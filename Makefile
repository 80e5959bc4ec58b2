# `make` lists the targets. Everything they need is set up by themselves, into .venv and .data.

PYTHON ?= python3
PY := .venv/bin/python
RUFF := $(PY) -m ruff
COMPILE := uv pip compile -q --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"

# FILE reaches the shell by the environment: a name may hold blanks and quotes.
FILE ?=
ARGS ?=
MODEL ?=
export FILE

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev faster-whisper transcribe up test check fmt models docs lock bench bench-peers chaos clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with the pinned packages
	@$(PYTHON) scripts/setup.py

setup-dev: # and what tests need
	@$(PYTHON) scripts/setup.py --dev

faster-whisper: ## install the second engine, for WHISPER_ENGINE=faster_whisper
	@$(PYTHON) scripts/setup.py --faster-whisper

transcribe: setup ## print the transcript of FILE=recording.mp3 (a sample without FILE); options of the client in ARGS
	@$(PY) -m embedded.transcribe "$$FILE" $(ARGS)

up: setup ## run the whole server in the foreground: API, worker, reconciler, Flower
	@exec $(PY) -m embedded.launcher

test: setup-dev ## run every test, with real Postgres, Valkey and weights; pytest's options in ARGS
	@$(PY) -m scripts.models ensure tiny base
	@$(PY) -m pytest $(ARGS)

check: setup-dev ## check format, lint, types, known weaknesses; run the unit and contract tests
	@$(RUFF) format --check -q .
	@$(RUFF) check -q .
	@$(PY) -m mypy .
	@$(PY) -m bandit -q -ll -r . -c pyproject.toml
	@$(PY) -m scripts.audit_packages
	@$(PY) -m pytest -q tests/unit tests/contract

fmt: setup-dev ## format the code
	@$(RUFF) check -q --fix-only .
	@$(RUFF) format -q .

models: setup ## list the weights that are here; MODEL=tiny fetches one
	@$(PY) -m scripts.models $(if $(MODEL),ensure $(MODEL),list)

docs: setup-dev ## write docs/api.md out of what the API says of itself
	@$(PY) -m scripts.api_reference

lock: ## pin all requirements again, with hashes (needs uv)
	@$(COMPILE) --override requirements-overrides.txt requirements.in -o requirements.txt
	@$(COMPILE) requirements-dev.in -o requirements-dev.txt
	@$(COMPILE) requirements-faster-whisper.in -o requirements-faster-whisper.txt
	@$(COMPILE) requirements-bench.in -o requirements-bench.txt
	@$(COMPILE) deploy/requirements-web.in -c requirements.txt -o deploy/requirements-web.txt

bench: setup-dev ## measure speed, latency and memory of the whole server; options in ARGS
	@$(PY) -m benchmarks $(ARGS)

chaos: setup-dev ## attack a server of its own and check that no job is lost or done twice; options in ARGS
	@$(PY) -m scripts.models ensure tiny
	@$(PY) -m chaos $(ARGS)

bench-peers: setup-dev ## install the programs that `make bench ARGS=core` measures beside this one
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-bench.txt

clean: ## remove .venv and caches; .data, where recordings and results are, stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -not -path './.data/*' -prune -exec rm -rf {} +
