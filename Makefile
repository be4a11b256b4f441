# Two commands for a newcomer: `make demo` and `make test`. Both do all their own set-up.

python := .venv/bin/python
products := packages/farm/src/farm/products
# How many workers there are says conftest.py.
workers := -n auto --dist worksteal
# Each renderer's scripts are a world of their own: their modules share names.
modules_in = $(patsubst $(products)/$(1)/scripts/%.py,-m %,$(wildcard $(products)/$(1)/scripts/*.py))

# Tests start thousands of Pythons: without their caches each compiles anew what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-long check check-types check-docs check-walls check-client check-text \
	bench mutants coverage release clean

help:
	@echo "make demo       render the sample project and show where the frames are"
	@echo "make test       all tests, real renders included"
	@echo "make test-long  the slow, exhaustive ones too"
	@echo "make check      formatting, lint, types, walls, spelling, documentation"
	@echo "make bench      measure against bare Blender, and what the farm bears"
	@echo "make coverage   which lines and branches of the packages no test runs"
	@echo "make mutants    which checks of a module no test would miss"
	@echo "make release    gather the changes, commit, tag and build: VERSION=1.2.0"

demo:
	@tools/setup.sh
	@$(python) tools/demo.py $(ARGS)

test: check
	@tools/system_packages.sh tests
	@$(python) -m pytest $(workers) -m "not long" $(ARGS)

test-long: check
	@tools/system_packages.sh tests
	@$(python) -m pytest $(workers) $(ARGS)

# One beside the other; the longest first, and each one's words together where make can do that.
check:
	@tools/setup.sh dev
	@$(MAKE) --no-print-directory --jobs=4 $(if $(filter output-sync,$(.FEATURES)),--output-sync) \
		check-types check-docs check-walls check-client check-text

# One mypy after the other: they share a cache. The root's conftest.py has the name of another.
check-types:
	@.venv/bin/mypy
	@MYPYPATH=$(products)/shared .venv/bin/mypy -m drive -m start
	@MYPYPATH=$(products)/blender/scripts:$(products)/shared .venv/bin/mypy $(call modules_in,blender)
	@MYPYPATH=$(products)/hou/scripts:$(products)/shared .venv/bin/mypy $(call modules_in,hou)
	@MYPYPATH=$(products)/ffmpeg/scripts:$(products)/shared .venv/bin/mypy $(call modules_in,ffmpeg)
	@.venv/bin/mypy conftest.py

check-docs:
	@.venv/bin/mkdocs build --strict --quiet --site-dir .site

check-walls:
	@.venv/bin/lint-imports

check-client:
	@.venv/bin/basedpyright --level error
	@.venv/bin/vermin -q --violations --no-tips -t=2.6- -t=3.3- packages/client/src/gridmarkets/*.py
	@.venv/bin/vermin -q --violations --no-tips -t=3.7- $(products)/shared/farm_events.py $(products)/shared/farm_script.py $(products)/shared/farm_numbering.py \
		$(products)/hou/scripts/*.py \
		packages/farm/tests/stand_ins_houdini/*.py

check-text:
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/codespell --quiet-level 3

bench:
	@tools/setup.sh dev
	@tools/system_packages.sh tests
	@$(python) -m bench $(ARGS)

# The report comes also when a test fails.
coverage:
	@tools/setup.sh dev
	@tools/system_packages.sh tests
	@$(python) -m pytest $(workers) -m "not long" --cov --cov-report= $(ARGS); \
		result=$$?; \
		$(python) -m coverage report --skip-covered --show-missing; \
		echo; echo "The least covered:"; \
		$(python) -m coverage report --sort=cover | sed -n 3,14p; \
		exit $$result

mutants:
	@tools/setup.sh dev
	@nice -n 10 $(python) -m tools.mutants $(ARGS)

release:
	@tools/release.sh $(VERSION)

clean:
	rm -rf .coverage .coverage.* .site dist .venv .uv .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
