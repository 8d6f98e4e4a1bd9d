# SPDX-License-Identifier: Apache-2.0
# Needs python3 (3.11 or later) and a package index; no ROS installation.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# -P: never the checkout by accident, always the package as it was installed
RUN := $(BIN)/python -P
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

comma := ,
EXTRAS := $(if $(ROS_DISTRO),sim$(comma)cpu,ros$(comma)sim$(comma)cpu)
FOLDERS := diffusion_control scripts launch config models resource
SOURCES := setup.py setup.cfg package.xml \
	$(shell find $(FOLDERS) -not -name '__pycache__' -not -path '*/__pycache__/*')

SEEDS ?= 0:10
# `make test TEST_EXTRAS=dev` leaves torch out; the tests of training and export are then skipped.
TEST_EXTRAS ?= dev,train
BENCH ?= --jobs 2 --resume
TESTS := PYTHONSAFEPATH=1 OMP_NUM_THREADS=1 $(BIN)/python -P -m pytest --durations=30

# After `make test` has added its tools the package is installed once more, so caches are fresh.
TOOLS := $(if $(filter test dev,$(MAKECMDGOALS)),$(VENV)/.dev)

.DEFAULT_GOAL := venv
.NOTPARALLEL:
.PHONY: venv dev demo demo-base test faults bench docs clean

venv: $(VENV)/.installed

# The dependencies, once for each change of setup.py.
$(VENV)/.dependencies: setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Python 3.11 or later is needed: make PYTHON=/path/to/python3.11' >&2; exit 3; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing the dependencies (about 0.45 GB, once)'
	$(PIP) install 'setuptools>=68,<80' wheel
	rm -rf build/lib build/bdist.*
	$(PIP) install --no-build-isolation '.[$(EXTRAS)]'
	@touch $@

# The package itself, without network, and its compiled kernels.
$(VENV)/.installed: $(VENV)/.dependencies $(TOOLS) $(SOURCES)
	@rm -rf build/lib build/bdist.*
	$(PIP) install --no-build-isolation --no-deps --force-reinstall .
	$(RUN) -m diffusion_control.robots.warm_up
	$(RUN) -m diffusion_control.safety.warm_up
	$(RUN) -m diffusion_control.demo.warm_up
	@touch $@

$(VENV)/.dev: setup.py $(VENV)/.dependencies
	@rm -rf build/lib build/bdist.*
	$(PIP) install --no-build-isolation '.[$(EXTRAS),$(TEST_EXTRAS)]'
	@touch $@

dev: $(VENV)/.installed

demo: venv
	$(BIN)/diffusion_control demo

demo-base: venv
	$(BIN)/diffusion_control demo --robot base

test: dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	@# what starts real nodes alone, as these keep time; then the others on two cores
	@failed=0; \
	$(TESTS) -m process $$(grep -l mark.process test/test_*.py) || failed=1; \
	$(TESTS) -m 'not process' --numprocesses 2 --dist loadfile test || failed=1; \
	exit $$failed

faults: venv
	$(BIN)/diffusion_control faults --seeds $(SEEDS)

bench: venv
	$(BIN)/diffusion_control bench safety $(BENCH)

docs: venv
	$(BIN)/python -m diffusion_control.parameters .

clean:
	rm -rf build install log dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
