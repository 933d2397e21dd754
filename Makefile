# Every chore of the repository. `make help` lists them; none needs a first step.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install check test isolation soak streaming schedule stalls idle fuzz ledger prometheus
.PHONY: loadtest bench overhead bench-peers gate cost features claims dashboards figures diagram clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: .venv/installed ## make .venv with everything the other targets need

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

check: install ## ruff (lint and format) and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: install ## all tests
	$(BIN)/pytest

isolation: install ## a million overlapping requests share nothing; REQUESTS=
	@ISOLATION_REQUESTS='$(or $(REQUESTS),1000000)' $(BIN)/pytest tests/restmachine/test_isolation.py \
	  --capture no --timeout 3600

soak: install ## a million requests leave resident memory flat; REQUESTS=
	@SOAK_REQUESTS='$(or $(REQUESTS),1000000)' $(BIN)/pytest tests/restmachine/test_soak.py \
	  -o python_functions='soak_*' --capture no --timeout 3600

schedule: install ## the parts of requests are right within a millisecond; ROUNDS=
	@SCHEDULE_ROUNDS='$(or $(ROUNDS),20)' $(BIN)/pytest tests/perfkit/test_schedule.py \
	  -o python_functions='strict_*' --capture no --timeout 3600

stalls: install ## a blocked event loop is named, with route and line, in 99 of 100 cases; STALLS=
	@STALLS='$(or $(STALLS),100)' $(BIN)/pytest tests/perfkit/test_loop.py \
	  -o python_functions='stalls_*' --capture no --timeout 3600

idle: install ## event loops that rest are never named, for an hour; MINUTES=
	@IDLE_MINUTES='$(or $(MINUTES),60)' $(BIN)/pytest tests/perfkit/test_loop.py \
	  -o python_functions='idle_*' --capture no --timeout 0

streaming: install ## bodies of a gibibyte leave resident memory as it was; MEBIBYTES=
	@STREAMED_MEBIBYTES='$(or $(MEBIBYTES),1024)' $(BIN)/pytest tests/http/test_memory.py \
	  --capture no --timeout 3600

fuzz: install ## made-up requests, many more of them; EXAMPLES=
	FUZZ_EXAMPLES=$(or $(EXAMPLES),100000) $(BIN)/pytest --timeout 0 tests/http/test_fuzz.py \
	  tests/http/test_schemathesis.py

ledger: install ## a hundred runs in which workers are killed lose no count; RUNS=
	@LEDGER_RUNS='$(or $(RUNS),100)' $(BIN)/pytest tests/perfkit/test_ledger.py --timeout 300

prometheus: install ## a real Prometheus scrapes two workers for a minute; SECONDS=
	@PROMETHEUS_SECONDS='$(or $(SECONDS),60)' $(BIN)/pytest tests/perfkit/test_prometheus.py \
	  -o python_functions='real_*' --timeout 3600

loadtest: install ## load test; USERS= RATE= DURATION= SCENARIO= WORKERS= HOST= DISTRIBUTED=
	@$(BIN)/python -m perfkit loadtest $(if $(USERS),--users '$(USERS)') $(if $(RATE),--rate '$(RATE)') \
	  $(if $(DURATION),--duration '$(DURATION)') $(if $(SCENARIO),--scenario '$(SCENARIO)') \
	  $(if $(WORKERS),--workers '$(WORKERS)') $(if $(HOST),--host '$(HOST)') \
	  $(if $(DISTRIBUTED),--distributed '$(DISTRIBUTED)')

bench: install ## micro-benchmarks of the hot paths
	$(BIN)/pytest tests/benchmarks --benchmark-only -o python_files='bench_*.py' -o python_functions='bench_*'

overhead: install ## what throughput the watchdog and memory sampling leave; SETS=
	$(BIN)/python tests/benchmarks/overhead.py $(or $(SETS),16)

bench-peers: .venv-peers/installed ## compare with other frameworks; FRAMEWORKS= ONLY= SECONDS= PHASES= PUBLISH=
	@.venv-peers/bin/python -m perfkit peers $(if $(FRAMEWORKS),--frameworks '$(FRAMEWORKS)') \
	  $(if $(ONLY),--only '$(ONLY)') $(if $(SECONDS),--seconds '$(SECONDS)') \
	  $(if $(PHASES),--phases '$(PHASES)') $(if $(PUBLISH),--publish)
	$(if $(PUBLISH),.venv-peers/bin/python docs/figures.py write)

.venv-peers/installed: pyproject.toml constraints-peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --disable-pip-version-check \
	  --constraint constraints-peers.txt --editable '.[peers]'
	@touch $@

gate: install ## is the working tree slower than BASE=<ref>? SECONDS= ONLY= THRESHOLD=
	@$(BIN)/python -m perfkit gate --base '$(BASE)' $(if $(SECONDS),--seconds '$(SECONDS)') \
	  $(if $(ONLY),--only '$(ONLY)') $(if $(THRESHOLD),--threshold '$(THRESHOLD)')

cost: install ## what perfkit costs, beside the same application without it and beside others
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[cost]'
	@$(BIN)/python docs/cost.py measure

features: install ## what each feature of restmachine costs, and what many routes cost
	@$(BIN)/python docs/feature_costs.py measure

claims: install ## measure the ledger's claims; ONLY="O-30 gzip" MINUTES= RESUME=1 RESULTS=
	@$(BIN)/python -m perfkit claims run $(ONLY) $(if $(RESUME),--resume) \
	  $(if $(MINUTES),--minutes '$(MINUTES)') --results '$(or $(RESULTS),reports/claims)'
	@$(BIN)/python -m perfkit claims report --results '$(or $(RESULTS),reports/claims)' \
	  --output '$(or $(RESULTS),reports/claims)/pages'

dashboards: install ## write dashboards/*.json from the table of metrics
	$(BIN)/python -m perfkit dashboards

figures: install ## measure again what the README states in figures
	$(BIN)/python docs/figures.py measure

diagram: install ## draw the decision diagram into docs/
	$(BIN)/python -m restmachine diagram --output docs

clean: ## remove what the other targets made
	rm -rf .venv .venv-peers build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
