# Everything from a fresh machine: `make demo` and `make test` install what they need and are quick the second time.
.DELETE_ON_ERROR:
.PHONY: help demo openmmlab test lint format types wheel-check system browser clean

VENV ?= .venv
PYTHON ?= $(shell tools/find_python.sh)
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
# Without what it depends on, which cannot be installed: what it needs of that is in the extra `openmmlab`.
MMPOSE = mmpose==1.3.2
FOLDERS = calib configs detectors lifter pipeline render

help:
	@echo "make demo         set up, then run the whole pipeline on a rendered person and print the error in mm"
	@echo "make openmmlab    set up with mmdet and mmpose, for --config vitpose"
	@echo "make test         set up, then run the tests"
	@echo "make lint         ruff and pyright"
	@echo "make format       put the sources into the house format"
	@echo "make wheel-check  build the wheel, install it into a clean environment and run it from outside the sources"
	@echo "make clean        remove what the build made; VENV=$(VENV) stays"

demo: $(VENV)/.for-use
	$(BIN)/mocap-video demo

openmmlab: $(VENV)/.for-use
	$(PIP) install --quiet --editable ".[openmmlab]"
	$(PIP) install --quiet --no-deps $(MMPOSE)

test: $(VENV)/.for-development $(VENV)/gltf-validator/node_modules
	$(BIN)/pytest $(PYTEST_ARGS)

lint: $(VENV)/.for-development types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.for-development
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

system:
	@tools/setup_system.sh

browser:
	@tools/setup_system.sh browser

$(BIN)/python: | system
	@test -n "$(PYTHON)"
	$(PYTHON) -m venv $(VENV)

# Each stamp is renewed when the package's metadata changes: dependencies, or the list of packages.
$(VENV)/.for-use: pyproject.toml | system $(BIN)/python
	$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.for-development: pyproject.toml | browser $(BIN)/python
	$(PIP) install --quiet --editable ".[dev]"
	$(PIP) install --quiet --no-deps $(MMPOSE)
	@touch $@ $(VENV)/.for-use

# Khronos's validator, which some tests use and none needs: where npm cannot be reached, it is tried again next time.
$(VENV)/gltf-validator/node_modules: | $(VENV)/.for-development
	@$(BIN)/python tools/install_gltf_validator.py

# The layout that a user installs, as links, so that pyright finds calib/ as mocap_video.calib.
types:
	@mkdir -p build/types/mocap_video
	@ln -sfn ../../../mocap_video/__init__.py build/types/mocap_video/__init__.py
	@for folder in $(FOLDERS); do ln -sfn ../../../$$folder build/types/mocap_video/$$folder; done

# The clean environment borrows the dependencies of $(VENV) through a .pth file; mocap-video itself comes from the wheel.
wheel-check: $(VENV)/.for-development
	rm -rf build/lib build/bdist.* build/wheel build/clean
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .
	$(BIN)/python -m venv build/clean
	build/clean/bin/python -m pip install --quiet --disable-pip-version-check --no-deps build/wheel/*.whl
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
		> "$$(build/clean/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/dependencies.pth"
	cd build/clean && bin/mocap-video --help && bin/mocap-video doctor

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
