# The commands of the README and of BUILD.md. `make help` lists everything.
PYTHON ?= python3
VENV ?= .venv
FLAGS ?=

.PHONY: help run test check reference clean
help:  ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "%-10s%s\n", $$1, $$2 }'

run: $(VENV)/run  ## train on Shakespeare with the defaults (FLAGS="--cell=lstm" for others)
	$(VENV)/bin/python -m experiments.char_lm $(FLAGS)

test: $(VENV)/test  ## run the tests
	$(VENV)/bin/python -m pytest --numprocesses=auto --dist=loadfile $(FLAGS)

check: $(VENV)/test  ## lint, format and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

reference:  ## docs/reference.md and docs/map.md, from the docstrings
	$(PYTHON) docs/make_pages.py

clean:  ## remove the virtual environment and what building left; runs stay
	rm -rf $(VENV) build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The files $(VENV)/run and $(VENV)/test mark what was installed, and when.
$(VENV)/run: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --requirement requirements.txt
	touch $@

$(VENV)/test: requirements-test.txt requirements.txt pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --requirement requirements-test.txt
	touch $@
