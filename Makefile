# make setup   a virtual environment in .venv with everything (first time: slow)
# make test    what CI runs: style, types, layers, tests
# make quick   the same without the slow tests: three minutes
# make test-legacy  the quick tests beside the original mm packages and torch 2.1
# make docs    the documentation as a site, in docs/_build
# make web     the runtime as WebAssembly, into runtime/web
# make demo    quantize and evaluate a small model
# make audit   prove the presets of all shipped configs
# make lint    style, types and layers only
# make format  let ruff rewrite the files

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check

# The first interpreter that really starts: version managers put names on the
# path that answer with an error.
PYTHON ?= $(shell for name in python3.11 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
	&& echo $$name && break; done)

# Set up again when the contents change, not when git touches the files.
SETUP_INPUTS := $(sort $(wildcard requirements/*.txt)) setup.py Makefile
FINGERPRINT = $(shell cat $(SETUP_INPUTS) | cksum)
STAMP := $(VENV)/.setup-done

.PHONY: setup install test quick audit lint format docs demo test-legacy web

setup:
	@test "$$(cat $(STAMP) 2>/dev/null)" = "$(FINGERPRINT)" \
		|| $(MAKE) --no-print-directory install

# The stamp goes first and comes back last: an interrupted run starts over, and
# every step finds what is already done. An environment without a working pip was
# interrupted while it was being made.
install:
	@rm -f $(STAMP)
	@test -n "$(PYTHON)" || { echo "No Python >= 3.10 found; set PYTHON=..." >&2; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) install -q -r requirements/build.txt
	$(PIP) install -q --no-deps -r requirements/torchvision.txt
	@$(PY) -c 'import importlib.metadata as m; m.version("onedl-mmcv")' 2>/dev/null \
		|| echo "Compiling mmcv: about ten minutes the first time, silently."
	MAX_JOBS=$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN) \
		$(PIP) install -q --no-build-isolation -r requirements/mminstall.txt
	$(PIP) install -q -r requirements/runtime.txt -r requirements/tests.txt \
		-r requirements/docs.txt
	$(PIP) install -q --no-deps -r requirements/mim.txt
	@# mmcv asks for opencv-python, imaug for the headless one as well: the same
	@# files, and the last one written wins. Where there is no libGL, let the
	@# headless one be the last.
	@$(PY) -c 'import cv2' 2>/dev/null || { \
		version=$$($(PY) -c 'import importlib.metadata as m; print(m.version("opencv-python-headless"))') \
		&& echo "OpenCV finds no libGL here: using its headless build $$version" \
		&& $(PIP) install -q --force-reinstall --no-deps opencv-python-headless==$$version; }
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@echo "$(FINGERPRINT)" > $(STAMP)

# Two processes of one thread each: tests of threads set their number. Tests of a file
# share a process, and so the models that they make.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile

test: lint docs
	$(PYTEST) --durations=20

quick: lint
	$(PYTEST) -m 'not slow and not presets'

# Too long for every change: tests with this mark are left out of make test.
audit: setup
	$(PY) -m pytest -m presets tests/test_tools/test_audit_presets.py

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

# Strict: a broken link, or a name that autodoc does not find, is an error.
docs: setup
	$(VENV)/bin/sphinx-build -q -W --keep-going -b html docs docs/_build

format: setup
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

web: setup
	$(PY) runtime/web.py

demo: setup
	$(PY) tools/demo.py

# Beside the original distributions: docs/legacy.md. Their torch wants Python 3.10 or
# 3.11; version managers hide theirs from the path.
LEGACY := .venv-legacy
LEGACY_PY := $(LEGACY)/bin/python
LEGACY_PIP := $(LEGACY_PY) -m pip --disable-pip-version-check
LEGACY_PYTHON ?= $(shell for name in python3.10 \
	$(HOME)/.pyenv/versions/3.10.*/bin/python python3.11 python3; do \
	$$name -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 12))' \
	2>/dev/null && echo $$name && break; done)
LEGACY_FINGERPRINT = $(shell cat $(sort $(wildcard requirements/legacy/*.txt)) | cksum)
LEGACY_STAMP := $(LEGACY)/.setup-done

test-legacy:
	@test "$$(cat $(LEGACY_STAMP) 2>/dev/null)" = "$(LEGACY_FINGERPRINT)" \
		|| $(MAKE) --no-print-directory install-legacy
	PYTHONPATH=$(CURDIR) OMP_NUM_THREADS=1 $(LEGACY_PY) -m pytest \
		-m 'not slow and not presets' -n 2 --dist loadfile

.PHONY: install-legacy
install-legacy:
	@rm -f $(LEGACY_STAMP)
	@test -n "$(LEGACY_PYTHON)" || { \
		echo "No Python 3.10 or 3.11 found; set LEGACY_PYTHON=..." >&2; exit 1; }
	@$(LEGACY_PY) -m pip --version >/dev/null 2>&1 \
		|| $(LEGACY_PYTHON) -m venv --clear $(LEGACY)
	$(LEGACY_PIP) install -q -r requirements/legacy/build.txt
	$(LEGACY_PIP) install -q --no-deps -r requirements/legacy/torchvision.txt
	MAX_JOBS=$${MAX_JOBS:-$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)} \
		$(LEGACY_PIP) install -q --no-build-isolation -r requirements/legacy/mm.txt
	$(LEGACY_PIP) install -q -r requirements/legacy/tests.txt
	@echo "$(LEGACY_FINGERPRINT)" > $(LEGACY_STAMP)
