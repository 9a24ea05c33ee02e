# Needs Python >= 3.11 with venv and pip. Another Python: make demo PYTHON=python3.12
PYTHON ?= python3
# Processes that the tests are shared out to.
WORKERS ?= 2
SLOW_WORKERS ?= 3
BIN := .venv/bin
# The tests start a hundred processes, of which each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo docs test test-slow test-tools test-gpu fuzz lint clean test-lowest dist

demo: .venv/installed
	$(BIN)/taskdiscovery demo

# The site: notebooks executed, the gallery's reports written, pages built, links checked. Notebooks that
# did not change since are not executed again. Offline once installed; opens from disk.
docs: .venv/docs
	$(BIN)/python -m website

test: .venv/installed lint
	$(BIN)/python -m pytest -n $(WORKERS)

# Real processes: kills, signals, full disks, system calls, planted faults; Ray, torchrun. Three of
# them leave a tenth of two cores idle; what a file sets up is set up once.
test-slow: .venv/ray
	$(BIN)/python -m pytest -n $(SLOW_WORKERS) --dist loadfile -m slow

# Exports and loggers with the tools themselves, in an environment of their own: MLflow and datasets
# want older pyarrow, importlib_metadata and fsspec than constraints.txt has.
test-tools: .venv-tools/installed
	.venv-tools/bin/python -m pytest -m "slow or not slow" tests/test_exports.py tests/test_loggers.py

# The lowest versions that are declared, torch apart, in an environment of their own; the tests of
# what touches other libraries: tables, images, pages, files, workers, scikit-learn.
LOWEST := .venv-lowest/bin
LOWEST_TESTS := $(addprefix tests/test_,$(addsuffix .py,scikit data labels pixels folders report \
	runs executors ridge_search pursuit showing packaging))
test-lowest: .venv-lowest/installed
	$(LOWEST)/python -m pytest -n $(WORKERS) $(LOWEST_TESTS)

# Wheel and sdist in dist/, checked: docs/releasing.md.
dist: .venv/ray
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*

# What needs a GPU, by a Python that has torch, pytest and hypothesis; nothing is installed:
# make test-gpu PY=python3. On a machine without one: TASKDISCOVERY_TEST_DEVICE=cpu make test-gpu
PY ?= $(PYTHON)
test-gpu:
	TASKDISCOVERY_TEST_GPU=1 PYTHONPATH=src $(PY) -m pytest -m gpu -W default tests/test_gpu.py

# Readers, coverage-guided, for so many seconds; what it finds becomes a test case. Then runs and
# inputs from a stranger, and every command on them: with --count 20000 for an hour.
fuzz: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test,fuzz]"
	$(BIN)/python -m benchmarks.fuzz --seconds 60
	$(BIN)/python -m benchmarks.hostile --count 2000

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

.venv/docs: pyproject.toml constraints.txt
	[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@

.venv-tools/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-tools
	grep -vE '^(pyarrow|fsspec|importlib_metadata)==' constraints.txt > .venv-tools/constraints.txt
	.venv-tools/bin/python -m pip install --quiet --constraint .venv-tools/constraints.txt --editable ".[test,tools]"
	touch $@

.venv/ray: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test,ray,release]"
	touch $@

# Beside the package what the tests use, but for the browser, whose tests skip. It waits for the
# other environment: both write src/taskdiscovery.egg-info.
.venv-lowest/installed: pyproject.toml constraints-lowest.txt | .venv/installed
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST)/python -m pip install --quiet --constraint constraints-lowest.txt --editable ".[lite0]" \
		hypothesis pytest pytest-xdist
	touch $@

clean:
	rm -rf .venv .venv-tools build dist src/*.egg-info .venv-lowest
