# `make run` and `make test` need git, make and Python 3.11, and set up everything else themselves.

UV := $(shell command -v uv || echo .uv/bin/uv)
ARGS ?=
# Many tests wait for servers, so that one more of them than cores keeps the cores busy.
WORKERS := $(shell expr $$(nproc) + 1)
FLINK := deploy/flink
TRIPS := .venv/lib/python3.11/site-packages/tfx/examples/chicago_taxi_pipeline/data/simple/data.csv

.PHONY: run test check lint snippets format flink flink-test airflow terraform clean

run: .venv/.ready  ## the main job: make run ARGS="--tune 5"
	$(UV) run --locked run_local.py $(ARGS)

test: .venv/.ready  ## all tests but those of the docs, which `make check` runs
	$(UV) run --locked pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --ignore tests/docs $(ARGS)

check: .venv/.ready  ## what is written, and beside it the docs' snippets
	$(MAKE) --jobs 2 --output-sync=target --no-print-directory lint snippets

lint: .venv/.ready  ## format, lint, types, layers, the locks
	for project in . deploy/flink deploy/airflow; do $(UV) lock --check --project $$project || exit; done
	$(UV) run --locked ruff format --check .
	$(UV) run --locked ruff check .
	$(UV) run --locked mypy
	$(UV) run --locked lint-imports

snippets: .venv/.ready
	$(UV) run --locked pytest -n auto --dist worksteal tests/docs

format: .venv/.ready  ## what a formatter can mend
	$(UV) run --locked ruff format .
	$(UV) run --locked ruff check --fix .

airflow: .venv/.ready  ## the DAG in a real Airflow, on the taxi trips
	$(UV) sync --locked --project deploy/airflow
	$(UV) run --locked pytest tests/engines/airflow.py $(ARGS)

terraform: .venv/.ready  ## builds tflint, and checks the Terraform with it
	GOBIN=$(CURDIR)/.tools go install github.com/terraform-linters/tflint@v0.64.0
	$(UV) run --locked pytest tests/deploy/test_terraform.py $(ARGS)

flink: .venv/.ready $(FLINK)/.venv/.ready $(FLINK)/target/job-server.jar  ## gets Flink, and replays the trips on it
	$(FLINK)/.venv/bin/twinbeam replay --runner flink --set data=$(TRIPS) --set live.lookback=60d $(ARGS)

flink-test: .venv/.ready $(FLINK)/.venv/.ready $(FLINK)/target/job-server.jar  ## the jobs on Flink, killed and not
	$(UV) run --locked pytest -v tests/engines/flink.py $(ARGS)

clean:  ## removes what can be made again
	rm -rf build dist .venv .uv .tools deploy/*/.venv deploy/flink/target *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Everything is compiled here, once, so that the first run does not have to.
.venv/.ready: $(UV) uv.lock pyproject.toml
	UV_COMPILE_BYTECODE=1 $(UV) sync --locked
	touch $@

$(FLINK)/.venv/.ready: $(UV) $(FLINK)/uv.lock $(FLINK)/pyproject.toml
	$(UV) sync --locked --project $(FLINK)
	touch $@

$(FLINK)/target/job-server.jar: $(FLINK)/pom.xml
	mvn --batch-mode --quiet --file $< package

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check "uv>=0.5"
