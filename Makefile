# Everything is done in a virtual environment beside this file; uv is installed into it when missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
DATA ?= ../shared/data
DEMO_OUT ?= runs/demo
DEMO_MEMORY ?= runs/memory
DEMO_LOGS := $(addprefix examples/,evenings.jsonl night_shift.jsonl.gz scenes.jsonl sceny_ru.jsonl)
LIVE_OUT ?= runs/demo-live

.DEFAULT_GOAL := help
.PHONY: help demo demo-live digest kafka test check chaos bench bench-live bench-lag bench-recovery bench-resume models lock readme boards schemas clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(VENV)/.ready-run ## Replay the example logs and say where the report is
	$(BIN)/scenestream models build
	$(BIN)/scenestream memory build examples/mornings.jsonl --texts --out $(DEMO_MEMORY)
	$(BIN)/scenestream replay $(DEMO_LOGS) --memory $(DEMO_MEMORY) --out $(DEMO_OUT)

demo-live: $(VENV)/.ready-dev ## The same through a real Kafka: broker, topics, worker, replay
	$(BIN)/scenestream models build
	$(BIN)/python tests/broker/demo_live.py $(LIVE_OUT)

digest: $(VENV)/.ready-dev ## Whether LOG=FILE comes to the same through Kafka and without it
	$(BIN)/scenestream models build
	$(BIN)/python tests/broker/same_digest.py $(or $(LOG),$(DEMO_LOGS))

kafka: $(VENV)/.ready-dev ## Start a Kafka broker on this machine (PORT=9092)
	$(BIN)/python -m tests.broker.kafka_server --port $(or $(PORT),9092)

test: $(VENV)/.ready-dev ## Run all tests
	$(BIN)/scenestream models build
	$(BIN)/pytest $(PYTEST_ARGS)

check: $(VENV)/.ready-dev ## Check format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

chaos: $(VENV)/.ready-dev ## Faults under load on a real Kafka, by seed (SEED=1 RUNS=2 FAULT=name)
	$(BIN)/python -m tests.chaos --seed $(or $(SEED),1) --runs $(or $(RUNS),2) $(if $(FAULT),--fault $(FAULT))

bench: $(VENV)/.ready-dev ## Measure (LOG=FILE for another log)
	$(BIN)/scenestream models build
	$(BIN)/python -m tests.benchmarks $(if $(LOG),--log $(LOG))

bench-live: $(VENV)/.ready-bench ## Measure the worker on a real Kafka beside others (RUNS=5)
	$(BIN)/scenestream models build
	$(BIN)/python -m tests.benchmarks.live --runs $(or $(RUNS),5)

bench-lag: $(VENV)/.ready-dev ## Measure what a look at 20 groups on 200 partitions costs
	$(BIN)/python -m tests.benchmarks.lag

bench-recovery: $(VENV)/.ready-dev ## Measure how long rows take to be restored (ROWS=1000000)
	$(BIN)/scenestream models build
	$(BIN)/python -m tests.benchmarks.recovery --rows $(or $(ROWS),1000000)

bench-resume: $(VENV)/.ready-dev ## Measure the silence after kill -9 and rolling restarts (RUNS=4 REAL=0)
	$(BIN)/scenestream models build
	$(BIN)/python -m tests.benchmarks.resume --runs $(or $(RUNS),4) --real $(or $(REAL),0)

models: $(VENV)/.ready-train ## Train and export all weights again from $(DATA)
	$(BIN)/python -m models.training --data $(DATA)

schemas: $(VENV)/.ready-dev ## Write the JSON Schemas and asyncapi.yaml again
	$(BIN)/python -m schemas.export

readme: $(VENV)/.ready-dev ## Fill the README's generated blocks again
	$(BIN)/python -m tools.readme --run

boards: $(VENV)/.ready-dev ## Write Grafana's boards and docs/metrics.md again
	$(BIN)/python -m tools.boards
	$(BIN)/python -m tools.metrics

lock: $(UV) ## Pin all requirements again, with hashes
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 pyproject.toml -o requirements/run.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --extra gpu --overrides requirements/gpu-overrides.txt pyproject.toml -o requirements/gpu.txt
	echo "setuptools>=77" | $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 - -o requirements/build.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --extra dev pyproject.toml -o requirements/dev.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --extra dev --extra bench --overrides requirements/bench-overrides.txt pyproject.toml -o requirements/bench.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --extra dev --extra train pyproject.toml -o requirements/train.txt

clean: ## Remove the environment and what was built
	rm -rf $(VENV) build *.egg-info runs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(UV):
	@echo "First set-up: downloads 180 MB to run, 260 MB to test; a minute or two on most lines."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.7"

$(VENV)/.ready-%: requirements/%.txt pyproject.toml | $(UV)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r $<
	$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@
