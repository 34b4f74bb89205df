# Every target sets up what it needs in .venv/ and reuses it. make run | test | check | format | slow | table | state | wheel | clean
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TABLE   ?= piad/table2_mnist
WORKERS ?= 2

.PHONY: run test slow check format table state wheel clean
.DELETE_ON_ERROR:

run: $(STAMP)                 ## train the default method on the embedded digits
	$(BIN)/python -m novelty.run

test: $(STAMP)                ## what CI runs: everything but learning and real data
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

slow: $(STAMP)                ## learning tests and real data ($$NOVELTY_DATA says where it lies)
	$(BIN)/python -m pytest -m slow --timeout 3600

check: $(STAMP)               ## style, types, floors
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)              ## put the style right
	$(BIN)/ruff check --fix src tests
	$(BIN)/ruff format src tests

table: $(STAMP)               ## run what is missing of TABLE, then compare it with print
	$(BIN)/python -m novelty.run table=$(TABLE)
	$(BIN)/python -m novelty.report table=$(TABLE)

state: $(STAMP)               ## experiments/STATE.md and .csv: every printed number, from the records that are kept
	$(BIN)/python -m novelty.report state=experiments/STATE.md

wheel: $(STAMP)               ## dist/*.whl, configuration and tables included
	$(BIN)/python -m build --wheel --no-isolation

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:                        ## the environment and all caches; never records
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
