# Everything a contributor types. Each target works alone on a fresh clone: it makes what it needs.

.DEFAULT_GOAL := help
.PHONY: help run test image-test soak check dashboards image sbom bench bench-million charts lock clean
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:

PYTHON ?= python3
ARGS ?=
SECONDS ?= 600
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
# A lock file names everything. Left to resolve, pip may want a version that came out since for what is asked for twice,
# once with an extra (coverage[toml]), and then refuses it for lack of a hash.
INSTALL := $(PIP) install --require-hashes --no-deps
LOCKS := requirements/run.txt requirements/build.txt requirements/dev.txt
CODE := services tests bench monitoring
JAM := tests/integration/jmap-jam
NPM := npm --prefix $(JAM) --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile
	@echo "  ARGS=... passes arguments on, PYTHON=... chooses the interpreter (3.11 or newer)."

run: .venv/package.stamp ## Run everything in one process: http://127.0.0.1:8080, mail in var/mail
	@exec $(BIN)/tidings up --maildir var/mail --state-dir var/state $(ARGS)

test: .venv/package.stamp .venv/dev.stamp $(JAM)/node_modules/.package-lock.json ## Install what the tests need, run all of them, check coverage
	@scripts/apt-install rabbitmq-server chromium openssl maildrop prometheus iproute2 docker-registry
	@command -v go >/dev/null || scripts/apt-install golang-go
	@$(BIN)/python -m pytest --ignore=tests/image --cov --cov-report= $(ARGS)
	$(if $(ARGS),,@echo "Coverage of the pure modules, branches included:")
	$(if $(ARGS),,@pure=$$($(BIN)/python scripts/pure_modules.py) && \
		$(BIN)/python -m coverage report --include="$$pure" --skip-covered --show-missing --fail-under=100)

soak: .venv/package.stamp .venv/dev.stamp ## Count that nothing is lost under faults: make soak SECONDS=3600 [ARGS='--seed 7']
	@scripts/apt-install rabbitmq-server
	@$(BIN)/python -m tests.faults --seconds $(SECONDS) $(ARGS)

check: .venv/package.stamp .venv/dev.stamp ## Check format, lint, types, import contracts, spelling, dependencies
	@$(BIN)/ruff format --check --quiet . || { echo "Run: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/typos
	@$(BIN)/hadolint docker/Dockerfile
	@$(BIN)/python scripts/audit.py requirements/run.txt; case $$?$$AUDIT in \
		0*) echo "All checks passed.";; \
		3) echo "All checks passed but the audit of dependencies, which COULD NOT BE MADE.";; \
		*) exit 1;; esac

image: ## Build the container image, tidings:VERSION (ARGS="--build-arg PYTHON=..." for another base)
	@version=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) && \
	docker build --file docker/Dockerfile --tag tidings:$$version \
		--build-arg VERSION=$$version --build-arg REVISION=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) $(ARGS) .

image-test: .venv/package.stamp .venv/dev.stamp ## Build the image and run the pipeline from it (root or a running engine, 5 minutes)
	@scripts/apt-install rabbitmq-server docker.io debootstrap
	@$(BIN)/python -m pytest tests/image $(ARGS)

# Of an environment that has what the image has, and nothing else.
sbom: .venv/package.stamp .venv/dev.stamp ## Write build/sbom.cdx.json (CycloneDX) and build/licenses.md: what ships, and under which licenses
	@mkdir -p build && $(PYTHON) -m venv --clear --without-pip build/ships
	@$(PIP) --python build/ships/bin/python install --require-hashes --no-deps --requirement requirements/run.txt
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file build/sbom.cdx.json build/ships/bin/python
	@$(BIN)/python scripts/licenses.py build/sbom.cdx.json >build/licenses.md
	@echo "Written: build/sbom.cdx.json build/licenses.md"

dashboards: .venv/package.stamp .venv/dev.stamp ## Write the Grafana dashboards and Prometheus rules that the chart ships
	@$(BIN)/python -m monitoring

bench: .venv/package.stamp .venv/dev.stamp ## Measure Tidings beside its references and its peers; prints tables
	@scripts/apt-install rabbitmq-server
	@scripts/apt-install libnginx-mod-nchan || echo "Going on: the comparison will list Nchan as missing." >&2
	@$(BIN)/python -m bench $(ARGS)

bench-million: .venv/package.stamp .venv/dev.stamp ## Hold a million connections on this machine (24 GiB, 10 minutes)
	@scripts/apt-install rabbitmq-server
	@$(BIN)/python -m bench.million $(ARGS)

charts: .venv/package.stamp .venv/dev.stamp ## Write the schemas and tables of the charts' values
	@$(BIN)/python scripts/chart_values.py

# uv resolves for every platform at once and writes no index host. It keeps the versions it finds locked;
# `make lock ARGS=--upgrade` takes the newest.
UV_COMPILE = "$$uv/bin/uv" pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--python-version 3.11 --custom-compile-command 'make lock' $(ARGS)

lock: ## Resolve the dependencies of pyproject.toml into requirements/*.txt
	@set -e; uv=$$(mktemp -d); trap 'rm -rf "$$uv"' EXIT; \
	$(PYTHON) -m venv "$$uv"; \
	"$$uv/bin/python" -m pip --quiet --disable-pip-version-check install 'uv>=0.13'; \
	$(UV_COMPILE) pyproject.toml --output-file requirements/run.txt; \
	for group in build dev; do \
		$(UV_COMPILE) --group $$group --constraint requirements/run.txt --output-file requirements/$$group.txt; \
	done
	@scripts/apt-install nodejs npm
	@$(NPM) $(if $(filter --upgrade,$(ARGS)),update,install) --package-lock-only --omit-lockfile-registry-resolved >/dev/null

clean: ## Remove .venv, caches and build results; the mail in var/ stays
	@rm -rf .venv build dist $(JAM)/node_modules .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find $(wildcard $(CODE) scripts) -name __pycache__ -type d -prune -exec rm -rf {} +
	@if [ -e var ]; then echo "Kept var/ (mail and state of make run). To forget it: rm -r var"; fi

# Changed lock files make the environment anew, so that nothing stays in it that they no longer name.
.venv/run.stamp: $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Tidings needs Python 3.11 or newer. Name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python cannot make virtual environments. Install: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing dependencies into .venv ..."
	@$(PYTHON) -m venv --clear .venv
	@$(INSTALL) --requirement requirements/run.txt --requirement requirements/build.txt
	@touch $@

.venv/package.stamp: .venv/run.stamp pyproject.toml
	@$(PIP) install --no-index --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/run.stamp | .venv/package.stamp
	@echo "Installing development tools into .venv ..."
	@$(INSTALL) --requirement requirements/dev.txt
	@touch $@

# npm writes this file last.
$(JAM)/node_modules/.package-lock.json: $(JAM)/package.json $(JAM)/package-lock.json
	@scripts/apt-install nodejs npm
	@echo "Installing $(JAM) ..."
	@$(NPM) ci >/dev/null
	@touch $@
