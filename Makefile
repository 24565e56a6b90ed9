# make demo   set up and watch one step-up        make test   everything, as CI does
# make check  format, lint, types, structure      make bench  the figures, side by side
# make deb    the Debian package, in dist/        make vm-test, vm-bench   the same, in a VM

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
JOBS   ?= 2

.PHONY: demo test check bench pam deb vm-test vm-bench clean

demo: $(VENV)/.installed
	@$(MAKE) --silent --no-print-directory pam || echo "pam_stepup.so is not built: install libpam0g-dev for the part with real sudo"
	@$(BIN)/stepup demo $(ARGS)

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) packaging/check_python.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

pam:
	@$(MAKE) --silent --no-print-directory -C pam

test: $(VENV)/.dev
	@sh packaging/install-test-tools
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest -n $(JOBS) -q
	@if tests/vm/build --check; then $(MAKE) --no-print-directory vm-test; fi

check: $(VENV)/.dev
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet . && $(BIN)/mypy --no-error-summary
	@$(BIN)/python -m pytest -q -p no:cacheprovider tests/architecture

# With the release's own Python, whatever PYTHON is: the package is for that one.
deb:
	@/usr/bin/python3 -I packaging/deb

bench: $(VENV)/.dev pam
	@$(BIN)/python benchmarks

# Debian's kernel and systemd in QEMU, the package, a key on /dev/uhid; as root, about a quarter of an hour.
# `make test` does it too where the tools are (packaging/install-test-tools --vm).
vm-test: $(VENV)/.dev deb
	@tests/vm/build
	@STEPUPD_VM=1 $(BIN)/python -m pytest -q --durations=8 tests/vm

vm-bench: $(VENV)/.dev deb
	@PYTHONPATH=. $(BIN)/python tests/vm/bench.py $(ARGS)

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
