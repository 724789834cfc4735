# Every target does all its own set-up, in .venv. Start with: make demo
PY := .venv/bin/python

.PHONY: help demo test lint bench docs picture
help:
	@echo "make demo     the whole mission, once, for real: runs/demo and its report.html"
	@echo "make test     every test, warnings as errors"
	@echo "make lint     ruff and pyright"
	@echo "make bench    the figures that we claim, as JSON"
	@echo "make docs     reference pages from the docstrings, in docs/api"
	@echo "make picture  the picture of the README, drawn from runs/demo"

.venv/installed: pyproject.toml constraints.txt .ci/install
	@PYTHON="$(PYTHON)" .ci/install

demo: .venv/installed
	@$(PY) -m toolkit demo

test: .venv/installed
	@.ci/chromium
	@$(PY) -m pytest

lint: .venv/installed
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m pyright

bench: .venv/installed
	@$(PY) -m benchmarks spine --json --seed 0 --out runs/bench

docs: .venv/installed
	@$(PY) -m toolkit.studies.reference docs/api

picture: .venv/installed
	@$(PY) -m toolkit demo --picture docs/demo.png
