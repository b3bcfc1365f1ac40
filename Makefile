# Everything a contributor types. Each target works alone on a fresh clone: it makes what it needs.

.DEFAULT_GOAL := help
.PHONY: help run test test-fast test-pythons test-integrations image-test cluster-test soak fuzz check dashboards docs prose image package dovecot-package roundcube-package sbom release bench bench-peers bench-million charts client api-documents lock clean
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:

PYTHON ?= python3
ARGS ?=
SECONDS ?= 600
# Of a release: where images and charts go, and what signs them.
REGISTRY ?= localhost:5000
KEY ?= cosign.key
# Most tests wait, so two of them share a processor. What is asked for with ARGS runs in one process, unless WORKERS says more.
WORKERS ?= $(if $(ARGS),0,$(shell echo $$((2 * $$(nproc)))))
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --no-loadscope-reorder
# What measures how an honest client fares runs beside nothing else.
ALONE := tests/hostile/test_attacks.py tests/hostile/test_container.py
BIN := .venv/bin
LOCKS := $(addprefix requirements/,installer.txt run.txt build.txt dev.txt docs.txt fuzz.txt)
CODE := services tests bench monitoring
# Each folder with packages from npm: tests with clients of others, and what checks prose.
NODE := $(patsubst %/package-lock.json,%,$(wildcard tests/*/package-lock.json tests/*/*/package-lock.json scripts/*/package-lock.json))
NPM := npm --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile
	@echo "  ARGS=... passes arguments on, PYTHON=... chooses the interpreter (3.11 or newer),"
	@echo "  WORKERS=... is the number of processes that run tests (default: two for each processor)."

run: .venv/package.stamp ## Run everything in one process, with mail in var/mail, and print the URL to open
	@exec $(BIN)/tidings up --maildir var/mail --state-dir var/state $(ARGS)

test: .venv/package.stamp .venv/dev.stamp $(NODE:=/node_modules/.package-lock.json) ## Install what the tests need, run all tests, check coverage
	@scripts/apt-install rabbitmq-server libfaketime chromium firefox-esr openssl maildrop prometheus iproute2 docker-registry postgresql php-cli
	@command -v go >/dev/null || scripts/apt-install golang-go
	@$(PYTEST) --ignore=tests/image --ignore=tests/cluster --ignore=tests/integrations $(if $(ARGS),,$(ALONE:%=--ignore=%) --cov --cov-report=) --durations=20 $(ARGS)
	$(if $(ARGS),,@$(BIN)/python -m pytest $(ALONE))
	$(if $(ARGS),,@echo "Coverage of the pure modules, branches included:")
	$(if $(ARGS),,@pure=$$($(BIN)/python scripts/pure_modules.py) && \
		$(BIN)/python -m coverage report --include="$$pure" --skip-covered --show-missing --fail-under=100)

test-fast: .venv/package.stamp .venv/dev.stamp ## Run the tests that need no other programs: unit tests of both packages, and conformance
	@$(PYTEST) tests/unit tests/asyncio_pprof/memory tests/asyncio_pprof/pprof tests/asyncio_pprof/traces tests/conformance $(ARGS)

test-pythons: ## Run the unit tests on the other installed Pythons: VERSIONS="3.12 3.13"
	@scripts/test-pythons --quiet --numprocesses $(WORKERS) $(ARGS)

test-integrations: .venv/package.stamp .venv/dev.stamp $(NODE:=/node_modules/.package-lock.json) ## Run the tests with stock mail servers and webmails, and of the Debian package (needs root)
	@scripts/apt-install rabbitmq-server postgresql debootstrap chromium php-cli
	@command -v go >/dev/null || scripts/apt-install golang-go
	@$(PYTEST) --durations=20 $(or $(ARGS),tests/integrations)

soak: .venv/package.stamp .venv/dev.stamp ## Check under faults that no change is lost: make soak SECONDS=3600 [ARGS='--seed 7']
	@scripts/apt-install rabbitmq-server postgresql
	@$(BIN)/python -m tests.faults --seconds $(SECONDS) $(ARGS)

fuzz: .venv/package.stamp .venv/dev.stamp .venv/fuzz.stamp ## Feed random input to each parser, for SECONDS each: make fuzz SECONDS=600 [ARGS='frames mail']
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(ARGS)

# Log lines, error messages and help, as pages.
MESSAGES = build/messages
READMES = README.md CONTRIBUTING.md SECURITY.md examples/README.md deploy/helm/README.md services/asyncio_pprof/README.md \
	$(wildcard clients/*/README.md integrations/*/README.md charts/*/README.md)
PROSE = $(READMES) $(shell find docs -name '*.md' | sort)
TEXTLINT = scripts/docs/node_modules/.bin/textlint --no-textlintrc --rulesdir scripts/docs/rules --format $(CURDIR)/scripts/docs/report.js

prose: scripts/docs/node_modules/.package-lock.json ## Check the prose of docs/, the READMEs and the texts of the services, or of ARGS=FILES; prints counts by page and rule
	@$(PYTHON) scripts/messages.py $(MESSAGES)
	@$(TEXTLINT) $(or $(ARGS),$(PROSE) $(MESSAGES))

docs: .venv/package.stamp .venv/docs.stamp scripts/docs/node_modules/.package-lock.json ## Build the documentation as a site in build/site; fails for dead links and for pages without a section
	@$(BIN)/python scripts/docs_pages.py build/docs
	@install -D --mode=644 scripts/docs/node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js build/docs/pages/javascripts/mermaid.js
	@NO_COLOR=1 $(BIN)/zensical build --strict --config-file build/docs/mkdocs.yml
	@$(BIN)/python scripts/docs_pages.py --check build/docs/site
	@rm -rf build/site && mv build/docs/site build/site
	@echo "Written: build/site. To read it: python3 -m http.server --bind 127.0.0.1 --directory build/site 8000"

check: .venv/package.stamp .venv/dev.stamp scripts/docs/node_modules/.package-lock.json ## Check format, lint, types, import contracts, spelling, prose, dependencies
	@$(BIN)/ruff format --check --quiet . || { echo "Run: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python scripts/pure_modules.py --check
	@$(BIN)/typos
	@$(BIN)/python scripts/messages.py $(MESSAGES)
	@$(TEXTLINT) $(PROSE) $(MESSAGES)
	@$(BIN)/hadolint docker/Dockerfile
	@$(BIN)/python scripts/audit.py requirements/run.txt; case $$?$$AUDIT in \
		0*) echo "All checks passed.";; \
		3) echo "All checks passed except the audit of dependencies, which COULD NOT RUN.";; \
		*) exit 1;; esac

image: ## Build the container image, tidings:VERSION (ARGS="--build-arg PYTHON=..." for another base)
	@version=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) && \
	docker build --file docker/Dockerfile --tag tidings:$$version \
		--build-arg VERSION=$$version --build-arg REVISION=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) $(ARGS) .

image-test: .venv/package.stamp .venv/dev.stamp tests/client/npm/node_modules/.package-lock.json ## Make a release in its own registry, and run the pipeline from its image (needs root, 10 minutes)
	@scripts/apt-install rabbitmq-server docker.io debootstrap docker-registry buildah skopeo git
	@command -v go >/dev/null || scripts/apt-install golang-go
	@scripts/cosign version >/dev/null
	@$(BIN)/python -m pytest tests/image $(ARGS)

cluster-test: .venv/package.stamp .venv/dev.stamp ## Try the charts on a real Kubernetes of one node (needs root, 20 minutes; the first time also 10 to 20 for the build)
	@scripts/apt-install docker.io debootstrap
	@command -v go >/dev/null || scripts/apt-install golang-go
	@$(BIN)/python -m pytest --durations=20 $(or $(ARGS),tests/cluster)

package: .venv/package.stamp .venv/dev.stamp ## Write build/tidings_VERSION_ARCHITECTURE.deb: the services with their systemd units
	@scripts/package

dovecot-package: ## Write build/tidings-dovecot_VERSION_all.deb: the package for mail servers with Dovecot
	@scripts/dovecot-package

roundcube-package: ## Write build/tidings-roundcube_VERSION_all.deb and a zip for composer: Roundcube's plugin, with clients/js
	@scripts/roundcube-package

sbom: .venv/package.stamp .venv/dev.stamp ## Write build/sbom.cdx.json (CycloneDX) and build/licenses.md: all shipped parts and their licenses
	@scripts/sbom

# Helm writes times as they are called where it runs.
release: .venv/package.stamp .venv/dev.stamp tests/client/npm/node_modules/.package-lock.json ## Build, push and sign a release (docs/contribute/release.md): make release VERSION=1.2.3 [REGISTRY=...] [KEY=cosign.key]
	@scripts/apt-install buildah skopeo git
	@TZ=UTC $(BIN)/python -m scripts.release "$(VERSION)" "$(REGISTRY)" "$(KEY)" $(BASE)

dashboards: .venv/package.stamp .venv/dev.stamp ## Write the Grafana dashboards and Prometheus rules of the chart
	@$(BIN)/python -m monitoring
	@$(BIN)/python scripts/chart_vendor.py

bench: .venv/package.stamp .venv/dev.stamp ## Measure Tidings beside its references, and print a table
	@scripts/apt-install rabbitmq-server postgresql chromium
	@$(BIN)/python -m bench $(ARGS)

bench-peers: .venv/package.stamp .venv/dev.stamp ## Measure Tidings beside its peers, and print tables (10 minutes after the installation)
	@scripts/apt-install rabbitmq-server
	@for package in gcc libnginx-mod-nchan $$(command -v go >/dev/null || echo golang-go); do \
		scripts/apt-install $$package || echo "Going on without $$package: the comparison lists what it cannot measure as missing." >&2; \
	done
	@$(BIN)/python -m bench --compare $(ARGS)

bench-million: .venv/package.stamp .venv/dev.stamp ## Hold a million connections on this machine (24 GiB, 20 minutes)
	@scripts/apt-install rabbitmq-server
	@$(BIN)/python -m bench.million $(ARGS)

charts: .venv/package.stamp .venv/dev.stamp ## Write the schemas and tables of the charts' values, and pack each chart into its parent charts
	@$(BIN)/python scripts/chart_values.py
	@$(BIN)/python scripts/chart_vendor.py

client: .venv/package.stamp tests/client/npm/node_modules/.package-lock.json ## Write the API reference of clients/js, and pack it for npm: build/tidings-client-VERSION.tgz
	@$(BIN)/python scripts/client_reference.py
	@mkdir -p build && PATH="$$PWD/tests/client/npm/node_modules/.bin:$$PATH" npm pack --silent --pack-destination build ./clients/js >/dev/null
	@ls build/tidings-client-*.tgz

api-documents: .venv/package.stamp .venv/dev.stamp ## Write the OpenAPI document of the ingest port from its models: docs/reference/openapi-ingest.json
	@$(BIN)/python scripts/api_documents.py

# uv resolves for every platform at once and writes no index host. It keeps the versions it finds locked;
# `make lock ARGS=--upgrade` takes the newest.
UV_COMPILE = "$$uv/bin/uv" pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--python-version 3.11 --custom-compile-command 'make lock' $(ARGS)

lock: ## Resolve the dependencies of pyproject.toml into requirements/*.txt
	@set -e; uv=$$(mktemp -d); trap 'rm -rf "$$uv"' EXIT; \
	$(PYTHON) -m venv "$$uv"; \
	"$$uv/bin/python" -m pip --quiet --disable-pip-version-check install 'uv>=0.13'; \
	$(UV_COMPILE) pyproject.toml --output-file requirements/run.txt; \
	for group in installer build dev docs fuzz peers; do \
		$(UV_COMPILE) --group $$group --constraint requirements/run.txt --output-file requirements/$$group.txt; \
	done
	@scripts/apt-install nodejs npm
	@set -e; for folder in $(NODE); do \
		$(NPM) --prefix $$folder $(if $(filter --upgrade,$(ARGS)),update,install) \
			--package-lock-only --omit-lockfile-registry-resolved >/dev/null; \
	done

clean: ## Remove .venv, caches and build results, but keep the mail in var/
	@rm -rf .venv build dist clients/js/types clients/js/LICENSE $(NODE:=/node_modules) .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find $(wildcard $(CODE) scripts) -name __pycache__ -type d -prune -exec rm -rf {} +
	@if [ -e var ]; then echo "Kept var/ (mail and state of make run). To remove it: rm -r var"; fi

# Changed lock files make the environment anew, so that nothing stays in it that they no longer name.
.venv/run.stamp: $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Tidings needs Python 3.11 or newer. Name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@scripts/install new $(PYTHON) run build
	@touch $@

.venv/package.stamp: .venv/run.stamp pyproject.toml
	@scripts/install package
	@touch $@

.venv/dev.stamp: .venv/run.stamp | .venv/package.stamp
	@scripts/install locked dev
	@touch $@

.venv/fuzz.stamp: .venv/run.stamp | .venv/package.stamp
	@scripts/install locked fuzz
	@touch $@

.venv/docs.stamp: .venv/run.stamp | .venv/package.stamp
	@scripts/install locked docs
	@touch $@

# npm writes this file last.
%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	@scripts/apt-install nodejs npm
	@echo "Installing $* ..."
	@$(NPM) --prefix $* ci >/dev/null
	@touch $@
