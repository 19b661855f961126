PYTHON ?= python3
BIN := .venv/bin
TESTS ?= tests
KILL ?= sleep
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help venv demo test mutants soak deploy lint format bench docs figures lock clean

help: ## show these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## make .venv from the lock (the other targets do it by themselves)
	@.ci/venv

demo: venv ## kill a worker at KILL=sleep or KILL=request and watch its job go on elsewhere
	@$(BIN)/python -m demo --kill $(KILL)

test: lint ## lint, then every test that needs no root (TESTS=tests/unit for a part, ARGS="-k name")
	@.ci/test $(if $(filter-out tests,$(TESTS))$(ARGS),$(TESTS) $(ARGS))

deploy: venv ## the tests that need root and Debian packages: NATs, disks, systemd, containers (the first run builds: minutes)
	@.ci/deploy $(ARGS)

mutants: venv ## make each mistake of tests/mutants in a copy of the code: its tests must fail
	@$(BIN)/python -m tests.mutants

soak: venv ## random programs under random kills, for long (SEEDS=100: 4,000 programs, half an hour)
	@SEEDS=$${SEEDS:-100} $(BIN)/python -m pytest tests/programs $(ARGS)

lint: venv ## ruff, mypy --strict, the import contracts
	@bad=0; \
	 .ci/timed "ruff check" $(BIN)/ruff check --quiet . || bad=1; \
	 .ci/timed "ruff format" $(BIN)/ruff format --quiet --check . || bad=1; \
	 .ci/timed "mypy --strict" $(BIN)/mypy --strict $(wildcard src tests demo benchmarks deploy docs/tools .ci/suites.py) || bad=1; \
	 .ci/timed "import contracts" $(BIN)/lint-imports --no-logo || bad=1; exit $$bad

format: venv ## let ruff format the code and fix what it can
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

bench: venv ## measure (QUICK=1 for a short run)
	@QUICK=$(QUICK) $(BIN)/python -m benchmarks

docs: venv ## build the documentation into build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

figures: venv ## write the documents in docs/deployment anew from their sources and the runs
	@$(BIN)/python -m docs.tools.figures

lock: ## write requirements.lock anew (UPGRADE=1 raises every pin)
	@test -x build/lock/bin/uv || { $(PYTHON) -m venv build/lock && build/lock/bin/python -m pip install --quiet 'uv~=0.13.9'; }
	@build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group dev \
	  --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade) \
	  --output-file requirements.lock pyproject.toml

clean: ## remove what was built; .venv stays
	@rm -rf build dist .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
