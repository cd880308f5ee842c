# `make run` and `make test` need git, make and Python 3.11, and set up everything else themselves.

UV := $(shell command -v uv || echo .uv/bin/uv)
ARGS ?=

.PHONY: run test check format vertex airflow terraform clean

run: .venv/.ready  ## the main job: make run ARGS="--tune 5"
	$(UV) run --locked run_local.py $(ARGS)

test: .venv/.ready  ## all tests but those of the docs, which `make check` runs
	$(UV) run --locked pytest -n auto --dist worksteal --ignore tests/docs --ignore tests/pipeline/cli $(ARGS)
	$(UV) run --locked pytest -n auto --dist loadfile tests/pipeline/cli $(ARGS)

check: .venv/.ready  ## format, lint, types, layers, the lock, the generated files, the docs' snippets
	$(UV) lock --check
	$(UV) run --locked ruff format --check .
	$(UV) run --locked ruff check .
	$(UV) run --locked mypy
	$(UV) run --locked lint-imports
	$(UV) run --locked pytest -n auto --dist worksteal tests/docs

format: .venv/.ready  ## what a formatter can mend
	$(UV) run --locked ruff format .
	$(UV) run --locked ruff check --fix .

vertex: .venv/.ready  ## the compiled pipeline, run as Vertex AI does: docs/orchestrators.md
	$(UV) run --locked pytest tests/engines/vertex.py $(ARGS)

airflow: .venv/.ready  ## the DAG in a real Airflow, on the taxi trips
	$(UV) sync --locked --project deploy/airflow
	$(UV) run --locked pytest tests/engines/airflow.py $(ARGS)

terraform: .venv/.ready  ## builds tflint, and checks the Terraform with it
	GOBIN=$(CURDIR)/.tools go install github.com/terraform-linters/tflint@v0.64.0
	$(UV) run --locked pytest tests/deploy/test_terraform.py $(ARGS)

clean:  ## removes what can be made again
	rm -rf build dist .venv .uv .tools deploy/airflow/.venv *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Everything is compiled here, once, so that the first run does not have to.
.venv/.ready: $(UV) uv.lock pyproject.toml
	UV_COMPILE_BYTECODE=1 $(UV) sync --locked
	touch $@

# Google Cloud Storage for the tests of jobs on Dataflow; it takes Go, and minutes, once.
.tools/fake-gcs-server:
	GOBIN=$(CURDIR)/.tools go install github.com/fsouza/fake-gcs-server@v1.52.2

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check "uv>=0.5"
