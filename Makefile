# Two commands: `make campaign` and `make test`. Both first build .venv from requirements.lock.
# By hand: Python >= 3.11 with its venv module and headers, and g++. `make` says what to type if one is missing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
LOCK := requirements.lock
LOCKED := $(VENV)/.locked
# Test files that run at a time: each worker takes up to 4 GB.
WORKERS ?= 2
INSTALLED := $(VENV)/.installed
# GPAW would take any mpic++ that it finds, also one without MPI's headers; jobs here have one core. Other settings: GPAW_CONFIG.
SITECONFIG := build/gpaw_siteconfig.py

# The lock is a function of pyproject.toml and these lines.
LOCK_DATE ?= 2026-11-20
UV_VERSION := 0.13.9
# torch's CUDA libraries: a CPU build has no use for them, a CUDA build pins them exactly in its own metadata.
TORCH_CUDA := cuda-bindings cuda-pathfinder cuda-toolkit triton nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
	nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
	nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx
# PyTorch's own CPU build of torch for CPython 3.11 on x86-64 Linux; PyPI's build brings 4 GB of CUDA.
TORCH_CPU_SHA256 := 6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b

locked_version = $(shell sed -n 's/^$(1)==\([^ ;]*\).*/\1/p' $(LOCK))
TORCH = $(call locked_version,torch)
JAX = $(call locked_version,jax)

.PHONY: help campaign test env gpu lock clean system

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

campaign: env ## Run examples/intermetallics.toml: MLIP, DFT and experiment under one budget
	$(BIN)/mfal run examples/intermetallics.toml

test: env ## Run the tests, the style and the type checks, two files at a time (ARGS="-k ledger" passes arguments to pytest)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

env: $(INSTALLED) $(if $(GPU),gpu) ## Build .venv from requirements.lock and install mfal (GPU=1 adds CUDA for JAX)

lock: system ## Resolve pyproject.toml into requirements.lock, as of LOCK_DATE
	@rm -rf build/lock && mkdir -p build
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'
	env -u UV_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS \
		build/lock/bin/uv --no-config --quiet pip compile pyproject.toml \
		--all-extras --universal --python-version 3.11 --fork-strategy fewest --exclude-newer $(LOCK_DATE) \
		--generate-hashes --no-header $(addprefix --no-emit-package ,$(TORCH_CUDA)) > build/requirements.lock
	@{ echo '# Written by `make lock`: pyproject.toml with every extra, as of $(LOCK_DATE), for Python 3.11 and newer.'; \
	   sed -e '/^torch==/i # The last hash is the CPU build that PyTorch itself publishes (CPython 3.11, x86-64 Linux); the others are on PyPI.' \
	       -e '/^torch==/,/^    # via/{/^    # via/!{/[^\\]$$/s|$$| \\\n    --hash=sha256:$(TORCH_CPU_SHA256)|}}' \
	       build/requirements.lock; } > $(LOCK)
	@grep -q $(TORCH_CPU_SHA256) $(LOCK)
	@echo "$(LOCK): $$(grep -c == $(LOCK)) packages"

clean: ## Remove .venv and build/
	rm -rf $(VENV) build

# Everything below builds .venv.

$(INSTALLED): $(LOCKED) pyproject.toml
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	$(PIP) check
	@touch $@

# torch comes first: outside its hash mode pip prefers PyTorch's small CPU build wherever it is offered one, and its hash
# is looked up in the lock here instead. The lock leaves CUDA out; the last install adds what a CUDA build of torch asks for.
$(LOCKED): $(LOCK) | system
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing $(LOCK) into $(VENV): a few minutes the first time (GPAW is compiled)"
	@$(BIN)/python -c 'from importlib.metadata import version as v; assert v("torch").split("+")[0] == "$(TORCH)"' 2> /dev/null || { \
		set -x; rm -rf build/torch; \
		$(PIP) download --quiet --no-deps --dest build/torch torch==$(TORCH); \
		grep --quiet "$$(sha256sum build/torch/torch-*.whl | cut -c -64)" $(LOCK) \
			|| { echo "$$(ls build/torch) is not a file that $(LOCK) knows; see TORCH_CPU_SHA256 in the Makefile"; exit 1; }; \
		$(PIP) install --quiet --no-deps build/torch/torch-*.whl; \
		rm -rf build/torch; }
	@mkdir -p build && printf 'mpi, libraries = False, ["xc", "blas"]\n' > $(SITECONFIG)
	CC=g++ GPAW_CONFIG="$${GPAW_CONFIG:-$(CURDIR)/$(SITECONFIG)}" \
		$(PIP) install --quiet --require-hashes --no-deps --requirement $(LOCK)
	$(PIP) install --quiet torch==$(TORCH)
	@touch $@

# One command for both, so that pip settles on CUDA libraries that suit torch and JAX.
gpu: $(INSTALLED)
	$(PIP) install torch==$(TORCH) 'jax[cuda13]==$(JAX)'
	$(PIP) check

system:
	@command -v $(PYTHON) > /dev/null \
		|| { echo "mfal needs Python >= 3.11. Type:  sudo apt-get install g++ python3 python3-venv python3-dev"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "mfal needs Python >= 3.11; $(PYTHON) is $$($(PYTHON) -V). Name a newer one:  make PYTHON=python3.12"; exit 1; }
	@missing=; python=$(notdir $(PYTHON)); \
	command -v g++ > /dev/null || missing+=" g++"; \
	$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || missing+=" $$python-venv"; \
	$(PYTHON) -c 'import os, sysconfig; os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2> /dev/null \
		|| missing+=" $$python-dev"; \
	test -z "$$missing" || { echo "System packages are missing. Type:  sudo apt-get install$$missing"; exit 1; }
