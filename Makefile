# `make demo` and `make test` set up everything they need; the rest is for daily work.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
APT := $(shell [ "$$(id -u)" = 0 ] && echo apt-get || echo sudo apt-get)

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types imports docs bench mutate lock clean system-run system-test

help:
	@echo "make demo    set up, then the whole pipeline on the sample cluster into ./evidence-demo"
	@echo "make test    set up, then every test"
	@echo "make check   format, lint, types, import contract"
	@echo "make bench   measure reach and each stage; beside a peer with NETPOL_ANALYZER=/path"
	@echo "make mutate  try changes of the engine that the tests should notice (MODULES=\"evidence/reach/tiers.py …\")"
	@echo "make docs    write the generated pages again"
	@echo "make lock    resolve the lock files again (needs uv)"

demo: $(VENV)/run.stamp
	$(BIN)/evidence demo --folder evidence-demo

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -q -n auto --dist worksteal

check: lint types imports

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

imports: $(VENV)/dev.stamp
	$(BIN)/lint-imports

docs: $(VENV)/dev.stamp
	$(BIN)/python docs/generate.py

bench: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/reach.py --pods 1000 3000 10000
	$(BIN)/python benchmarks/reach.py --pods 10000 --variant own-label
	$(BIN)/python benchmarks/reach.py --pods 3000 --variant manifests
	$(BIN)/python benchmarks/change.py --pods 10000
	$(BIN)/python benchmarks/stages.py
	$(BIN)/python benchmarks/collect.py --pods 1000 10000
	$(BIN)/python benchmarks/year.py
	$(BIN)/python benchmarks/log.py
	$(BIN)/python benchmarks/history.py
	$(BIN)/python benchmarks/history.py --pods 1000 --days 14
	$(BIN)/python benchmarks/flowlogs.py --pods 3000 --megabytes 250
	$(BIN)/python benchmarks/fleet.py
	[ -z "$$NETPOL_ANALYZER" ] || $(BIN)/python benchmarks/compare.py --pods 1000 3000

mutate: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/mutation/run.py $(MODULES)

lock:
	uv pip compile pyproject.toml --extra postgres --extra serve --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -o requirements.lock
	uv pip compile pyproject.toml --all-extras --group dev --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) evidence-demo dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# Set-up. Packages come by hash from the lock files; the project itself is installed in place, with nothing resolved.
$(VENV)/run.stamp: requirements.lock pyproject.toml | system-run
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "evidence needs Python 3.11 or newer: set PYTHON=/path/to/python3.11"; exit 1; }
	@[ -x $(BIN)/python ] || { echo "Making a virtual environment in $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing packages from requirements.lock (by hash)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(MAKE) --no-print-directory -s editable
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp | system-test
	@echo "Installing test packages from requirements-dev.lock (by hash)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# A .pth file and two scripts stand for an editable install: no build back end to fetch for a checkout.
.PHONY: editable
editable:
	@$(BIN)/python -c "import pathlib, sysconfig; pathlib.Path(sysconfig.get_path('purelib'), 'evidence-checkout.pth').write_text(str(pathlib.Path.cwd()) + '\n')"
	@for name in evidence kubectl-evidence; do \
	  printf '#!%s\nfrom evidence.cli.main import main\nmain()\n' "$(CURDIR)/$(BIN)/python" > $(BIN)/$$name; chmod +x $(BIN)/$$name; done

# Debian packages, only when something is missing, and said so.
system-run:
	@missing=""; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	ldconfig -p | grep -q 'libpango-1.0.so.0' || missing="$$missing libpango-1.0-0"; \
	ldconfig -p | grep -q 'libpangoft2-1.0.so.0' || missing="$$missing libpangoft2-1.0-0"; \
	ldconfig -p | grep -q 'libharfbuzz-subset.so.0' || missing="$$missing libharfbuzz-subset0"; \
	[ -d /usr/share/fonts ] && [ -n "$$(find /usr/share/fonts -name '*.ttf' -print -quit)" ] || missing="$$missing fonts-dejavu-core"; \
	$(call apt-install)

system-test: system-run
	@missing=""; \
	command -v pdftoppm >/dev/null && command -v pdfsig >/dev/null || missing="$$missing poppler-utils"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v certutil >/dev/null || missing="$$missing libnss3-tools"; \
	command -v etcd >/dev/null || missing="$$missing etcd-server"; \
	command -v xz >/dev/null || missing="$$missing xz-utils"; \
	if [ -d ../shared/controlplane/node ]; then for pair in $(NODE_PACKAGES); do \
	  command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair##*:}"; done; fi; \
	$(call apt-install)

# What the tests on a real node need (program:package), where one can be had; Go builds the probe's program.
NODE_PACKAGES := containerd:containerd runc:runc /usr/lib/cni/ptp:containernetworking-plugins iptables:iptables ipset:ipset nft:nftables \
  conntrack:conntrack ip:iproute2 curl:curl nsenter:util-linux go:golang-go

define apt-install
	[ -z "$$missing" ] || { echo "Installing Debian packages:$$missing"; \
	  $(APT) update -qq && DEBIAN_FRONTEND=noninteractive $(APT) install -y -qq --no-install-recommends $$missing >/dev/null; }
endef
