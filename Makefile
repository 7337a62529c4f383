# Needs Python 3.11 or newer with pip, and make. Everything is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TEST_READY := $(VENV)/.ready-test
WORKERS ?= 3

MINUTES ?= 10
SEED ?= 1

# Every dependency at its lower bound, on the oldest Python, and one test file or more for each of them.
LOWEST_PYTHON ?= python3.11
LOWEST := .venv-lowest
LOWEST_TESTS := \
	tests/crowdbench/cli/test_main.py tests/crowdbench/cli/test_leaderboard.py \
	tests/crowdbench/cli/test_list_plugins.py tests/crowdbench/cli/test_report.py \
	tests/crowdbench/test_lower_bounds.py tests/crowdbench/weights/checkpoint_file/test_state_dict.py tests/crowdbench/visualization/test_plots.py \
	tests/crowdbench/suites/test_suite.py tests/crowdbench/leaderboard/test_formats.py \
	tests/crowdbench/prediction/test_images.py tests/crowdbench/training/test_metrics.py \
	tests/crowdbench/weights/test_download.py tests/methods/i2rnet/test_tiny.py \
	tests/methods/wrappers/test_contract.py tests/methods/wrappers/test_rtmo.py \
	tests/slurm/test_options.py

.PHONY: run test test-fast coverage test-lowest fuzz bench lint format xtcocotools crowdposetools clean

run: $(READY)  ## a trained network on the built-in data: run, score, table
	$(BIN)/crowdbench run i2rnet-tiny synthcrowd
	$(BIN)/crowdbench leaderboard

test: $(TEST_READY)  ## the whole suite
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

test-fast: $(TEST_READY)  ## what takes seconds
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not slow" $(ARGS)

coverage: $(TEST_READY)  ## how much of the code the quick tests run; fails below the floor of pyproject.toml
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not slow" --cov --cov-report=term $(ARGS)

fuzz: $(TEST_READY)  ## damaged files of every kind, for MINUTES; what goes wrong is kept in findings/
	PYTHONPATH=$(CURDIR):tests $(BIN)/python -m fuzzing --minutes $(MINUTES) --seed $(SEED) --keep findings

test-lowest: $(LOWEST)/.ready  ## quick tests with the oldest versions that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest -n $(WORKERS) --dist loadgroup -m "not slow" -p no:cacheprovider $(LOWEST_TESTS) $(ARGS)

bench: $(TEST_READY)  ## speed promises, each against a baseline measured beside it
	$(BIN)/python -m pytest benchmarks/speed $(ARGS)

lint: $(TEST_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pydoclint --quiet crowdbench methods datasets slurm/crowdbench_slurm

format: $(TEST_READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# An optional scoring engine. Its wheel does not import on numpy 2, so it is built here; needs a C compiler.
xtcocotools: $(TEST_READY)
	$(BIN)/pip install --quiet -c constraints.txt cython setuptools wheel
	$(BIN)/pip install --quiet -c constraints.txt --no-binary xtcocotools --no-build-isolation xtcocotools

# Another, which is not on PyPI. CROWDPOSE may be a checkout on this machine.
CROWDPOSE ?= https://github.com/Jeff-sjtu/CrowdPose
crowdposetools: $(TEST_READY)
	$(BIN)/pip install --quiet -c constraints.txt cython setuptools wheel numpy
	rm -rf build/CrowdPose
	git clone --quiet --depth 1 $(CROWDPOSE) build/CrowdPose
	sed -i 's/np\.float\b/float/g; s/np\.round(/round(/g; s/\bunicode\b/str/g' \
		build/CrowdPose/crowdpose-api/PythonAPI/crowdposetools/*.py
	$(BIN)/pip install --quiet -c constraints.txt --no-build-isolation ./build/CrowdPose/crowdpose-api/PythonAPI

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "crowdbench needs Python 3.11 or newer; make PYTHON=python3.12 picks another")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(READY): $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

$(TEST_READY): $(READY)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[test,lint]'
	touch $@

$(LOWEST)/.ready: pyproject.toml constraints-lowest.txt
	$(LOWEST_PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet -c constraints-lowest.txt -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) .coverage build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .benchmarks
