# `make demo` and `make test` set up all they need on a machine with nothing but Python and make.
#   VENV=path     the environment to make or to use; a torch that is already in it is kept
#   PYTHON=path   the Python that makes the environment
#   LINE=onedl    or openmmlab (upstream), each in an environment of its own
#   DEMO=quick    photographs only, without the training that follows them

VENV ?= .venv
PYTHON ?= python3
LINE ?= onedl

BIN := $(VENV)/bin
STAMP := $(VENV)/.mmdiffseg-$(LINE)
TARGET := -e .[$(LINE),latent,demo,tests]

# To build upstream mmcv takes an older setuptools. pip before 25.3 knows PIP_CONSTRAINT alone.
ifeq ($(LINE),openmmlab)
export UV_BUILD_CONSTRAINT := requirements/build.txt
export PIP_BUILD_CONSTRAINT := requirements/build.txt
export PIP_CONSTRAINT := requirements/build.txt
endif

.PHONY: install demo test test-recipe gpu-report lint docs release-check

install: $(STAMP)

# One OpenMP thread a process: the training teaches two models side by side, and threads that wait for
# each other cost more than they give on a few cores.
demo: $(STAMP)
	$(BIN)/python demo/nuclei_demo.py
ifneq ($(DEMO),quick)
	@echo 'Now a training on generated data, ten minutes on two cores; make demo DEMO=quick leaves it out.'
	OMP_NUM_THREADS=1 $(BIN)/python demo/shapes_demo.py
endif

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-recipe: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m recipe

# At most 25 minutes, nothing to download; a report that was cut off goes on where it stopped.
gpu-report: $(STAMP)
	$(BIN)/python tools/gpu_report.py

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

# What is about to be published, in an environment that has nothing else.
release-check: $(STAMP)
	PYTHON=$(BIN)/python bash tools/misc/release_check.sh

# The site in build/site. It reads the sources and imports none of them, so it needs little.
docs: $(VENV)/.mmdiffseg-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

$(VENV)/.mmdiffseg-docs: requirements/docs.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements/docs.txt
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "mmdiffseg needs Python 3.10 or newer and $(PYTHON) is not: name one with" \
			"PYTHON=/path/to/python3.11."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
		echo "$(PYTHON) cannot make a virtual environment: install its venv package (Debian and" \
			"Ubuntu: apt install python3-venv) or name another with PYTHON=."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# uv installs in a fraction of the time; plain pip does the same where uv cannot be installed. The
# constraint keeps a torch that is already there, whatever its build.
$(STAMP): pyproject.toml setup.py $(wildcard requirements/*.txt) | $(BIN)/python
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip
	$(BIN)/python -m pip install --quiet uv || echo 'uv cannot be installed: plain pip takes over.'
	$(BIN)/python -m pip list --format=freeze | sed -n '/^torch==/p' > $(VENV)/constraints.txt
	$(BIN)/python -m uv pip install --python $(BIN)/python -c $(VENV)/constraints.txt $(TARGET) \
		|| $(BIN)/python -m pip install -c $(VENV)/constraints.txt $(TARGET)
	touch $@
