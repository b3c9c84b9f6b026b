# Two commands do everything on a fresh machine: `make run` (the pipeline) and `make test`.
# They need Python 3.11 or newer with venv, make, git and access to the Python package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE ?= autoencoders:$(VERSION)
# The runs of the first experiment of a new local database, as a table. MLflow's start page is about agents.
RUNS := http://127.0.0.1:5000/\#/experiments/1/runs?workflowType=machine_learning
export PATH := $(CURDIR)/$(BIN):$(PATH)
# With this variable set, Python would compile every import again: 10 s per stage.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: moved install run test test-cluster test-faults test-image check lock image figures clean help

install: $(INSTALLED)  ## install everything into .venv (the other commands do it, too)

run: $(INSTALLED)  ## install, run the pipeline and the ladder, write the report, print the comparison
	@autoencoders check
	@dvc repro
	@echo
	@cat reports/comparison/comparison.txt
	@echo
	@echo "Next:"
	@echo "  1. open reports/index.html: the comparison, the latent plane, the ladder"
	@echo "  2. compare the runs: $(if $(MLFLOW_TRACKING_URI),on your MLflow server,$(BIN)/mlflow ui and open $(RUNS))"
	@git diff --quiet HEAD -- dvc.lock evaluation 2>/dev/null; test $$? -ne 1 || \
		echo "  3. git commit -am 'My first run': 'dvc metrics diff' then shows what an experiment changes, and nothing else"

test: $(INSTALLED)  ## install and run the tests
	@pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not cluster and not faults and not image"

test-cluster: $(INSTALLED)  ## test what only a cluster needs: torchrun, TrainJob, MLflow server with S3, KFP against DVC
	@pytest -n 2 --no-loadscope-reorder -m cluster

test-faults: $(INSTALLED)  ## kill every stage at random times, and check that `dvc repro` still ends with the same results
	@pytest -n 2 -m faults

test-image: $(INSTALLED)  ## test the image that `make image` built: its content, and the whole pipeline in its containers
	@pytest -m image

check: $(INSTALLED)  ## check style, formatting, types and layers
	ruff check .
	ruff format --check .
	mypy
	lint-imports

# An environment holds its own path: in a folder that was moved or copied, it is made again.
MOVED := $(shell test -s $(INSTALLED) && test "$$(cat $(INSTALLED))" != "$(CURDIR)" && echo moved)
$(INSTALLED): requirements.txt pyproject.toml $(MOVED)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, found " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	@test -z "$(MOVED)" || rm -rf $(VENV)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked dependencies into $(VENV) (about 6 GB with CUDA, some minutes) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --requirement requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@test -n "$$MLFLOW_TRACKING_URI" || $(BIN)/python -c 'from autoencoders.tracking import connect; connect()'
	@echo "$(CURDIR)" > $@

lock: $(INSTALLED)  ## resolve pyproject.toml again, with all extras, into requirements.txt and (for the image) requirements-image.txt
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev --no-header pyproject.toml --output-file requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --extra kubernetes --extra s3 --constraint requirements.txt --no-header --no-annotate pyproject.toml --output-file requirements-image.txt

image:  ## build the container image that the pipeline's tasks run, as autoencoders:<version>
	docker build --tag $(IMAGE) --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) --build-arg DIRTY=$$(test -z "$$(git status --porcelain --untracked-files=no)" && echo false || echo true) $(BUILD) .

figures: $(INSTALLED)  ## copy the figures that the README shows from the last run, and record the report (with Chromium)
	cp reports/figures/reconstructions.png $(addprefix reports/figures/ladder/,one-image.png generation.png beta.png) docs/figures/
	python docs/figures/report.py reports/index.html docs/figures/report.gif

clean:  ## remove the pipeline's results; keep the environment, downloads and MLflow's database
	rm -rf data models evaluation/*/codes reports .cache/checkpoints

help:  ## print this list
	@sed -nE 's/^([a-z-]+):.*## /\1\t/p' Makefile | expand -t 14
