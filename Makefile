# Two commands for users: make demo, make test. The rest are shortcuts for developers.
SHELL := /bin/bash
DEMO ?= demo
REHEARSAL ?= rehearsal
SEED ?= 1
SCALE ?= 1
PYTEST_ARGS ?=
MONTH_ARGS ?=

.PHONY: demo test rehearsal setup-demo setup-test lint typing imports pages style docs format tests coverage bench faults month lock migration clean

demo: setup-demo  ## The main job: on a simulated patch, or DATA=<folder of exposures>; DEMO=<dir> elsewhere.
	@.venv/bin/desdm demo --out "$(DEMO)" --seed $(SEED) $(if $(DATA),--data "$(DATA)")

test: setup-test lint typing imports pages style tests docs  ## Everything that must hold.

rehearsal: setup-demo  ## A night, a trial, rejections, a flagged coadd, a release: fails on any false statement.
	@.venv/bin/python scripts/rehearsal.py "$(REHEARSAL)"

setup-demo:
	@scripts/setup.sh demo

setup-test:
	@scripts/setup.sh test

lint:
	.venv/bin/ruff check src tests bench scripts docs/tutorials
	.venv/bin/ruff format --check src tests bench scripts docs/tutorials

typing:
	.venv/bin/mypy

pages:
	.venv/bin/python scripts/pipeline_pages.py --check
	.venv/bin/python scripts/service_pages.py --check
	.venv/bin/python scripts/changelog.py --check

style:  ## Figures of style beside their bounds; fails beyond those that are enforced.
	@.venv/bin/python scripts/style_figures.py

docs:  ## The documentation site in build/site (with plots of the tutorials after the tests); warnings and dead links are errors.
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build

imports:
	.venv/bin/lint-imports
	.venv/bin/python scripts/import_checks.py

tests:
	.venv/bin/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

coverage: setup-test  ## Tests with a report of the lines that they reach, in build/coverage; no figure fails.
	.venv/bin/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered --cov-report=html:build/coverage \
	  --deselect tests/wcl/test_command.py::test_reading_wcl_loads_no_library_of_arrays_images_or_tables $(PYTEST_ARGS)

format:
	.venv/bin/ruff check --fix src tests bench scripts docs/tutorials
	.venv/bin/ruff format src tests bench scripts docs/tutorials

faults: setup-test  ## One JSON line a family of injected faults; ONLY=name,…; SCALE=n: n times as many tries.
	@.venv/bin/python -m tests.faults.run --only "$(ONLY)" --scale $(SCALE) --table docs/operations/faults.md

month: setup-test  ## A month of deliveries with troubles, run by its queue alone, then with kills; MONTH_ARGS="--nights 6 …".
	@.venv/bin/python -m tests.month.run --nights 30 --troubles 45 --kills 20 --table docs/operations/month.md $(MONTH_ARGS)

bench: setup-test  ## One JSON line a figure; ONLY=name for one bench.
	@.venv/bin/python bench/run.py $(ONLY)

lock:  ## Pin dependencies anew, by digest.
	.venv/bin/uv pip compile -q --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11 \
	  --extra facility pyproject.toml requirements.in -o requirements.lock
	.venv/bin/uv pip compile -q --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11 \
	  -c requirements.lock requirements-docs.in -o requirements-docs.lock

clean:
	rm -rf .venv build demo rehearsal .mypy_cache .ruff_cache .pytest_cache
