# Everything a developer or operator runs. Each target first installs what it needs.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# The first Python on the path that is new enough.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000
WORKERS ?= 2
CLIENT ?= sandbox-ehr
OUT ?= var/certificates
PYTEST ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_REQUIRE_VIRTUALENV := 1
# Servers are started some hundred times; compiling their modules each time is half of a start.
unexport PYTHONDONTWRITEBYTECODE

# A stamp is named after what it stands for, so another lock file or project table installs anew.
sum = $(shell cat $(1) 2>/dev/null | cksum | tr ' ' '-')
RUNTIME := $(VENV)/installed-runtime-$(call sum,requirements/build.txt requirements/runtime.txt pyproject.toml)
DEV := $(VENV)/installed-dev-$(call sum,requirements/build.txt requirements/dev.txt pyproject.toml)
PIP := $(BIN)/python -m pip install --quiet

UV := build/lock/bin/uv
UV_VERSION := 0.13.9
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

# Every branch of these is run by the tests named after them. Coverage costs half of a test's speed:
# the others run without it, and what both kinds of run have shown is put together at the end.
WHOLE := priorauth coverage auth egress audit
COVERED := $(WHOLE:%=--cov=wiser_fhir.%) --cov-branch --cov-report=term:skip-covered --cov-fail-under=100
BRANCH_TESTS := $(wildcard \
	$(foreach kind,unit property integration,$(foreach part,$(WHOLE),tests/$(kind)/$(part))) \
	tests/integration/pas tests/integration/claims tests/integration/oauth tests/integration/sign_in \
	tests/integration/cli tests/integration/review tests/integration/worker tests/integration/notify \
	tests/integration/sandbox tests/unit/sandbox tests/conformance/oauth tests/conformance/audit \
	tests/integration/crd/test_metrics.py)
SHOWN := build/shown.json
TLS_SCAN := build/tls-scan/installed-$(call sum,requirements/tls-scan.txt)
SECONDS ?= 60

.PHONY: help
help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(RUNTIME) $(DEV) ## Virtual environment with everything, hash-locked

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed and was not found" >&2; exit 1; }
	@echo "making a virtual environment with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): | $(BIN)/python
	@echo "installing what the server needs (a minute, the first time)"
	@$(PIP) --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/installed-runtime-* && touch $@

$(DEV): $(RUNTIME)
	@echo "installing what tests and checks need"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@rm -f $(VENV)/installed-dev-* && touch $@

.PHONY: serve
serve: $(RUNTIME) ## Serve the sandbox (HOST=127.0.0.1 PORT=8000)
	@WISER_MODE=$${WISER_MODE:-sandbox} $(BIN)/wiser-fhir serve --host $(HOST) --port $(PORT)

.PHONY: token
token: $(RUNTIME) ## Print a sandbox token (CLIENT=sandbox-ehr)
	@WISER_MODE=sandbox $(BIN)/wiser-fhir token --client $(CLIENT)

.PHONY: certs
certs: $(RUNTIME) ## Make a sandbox's authority and its certificates (OUT=var/certificates)
	@WISER_MODE=sandbox $(BIN)/wiser-fhir sandbox certificates --out $(OUT)

.PHONY: demo
demo: $(RUNTIME) ## Send three requests through a sandbox and show what came of them
	@WISER_MODE=sandbox $(BIN)/wiser-fhir demo

.PHONY: test
test: $(RUNTIME) $(DEV) $(TLS_SCAN) pages branches ## Run every test (WORKERS=2 at a time)
	@echo "running every other test"
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup --requirements --shown-before=$(SHOWN) \
		$(BRANCH_TESTS:%=--ignore=%) $(PYTEST)

.PHONY: branches
branches: $(RUNTIME) $(DEV) ## Run every branch of what decides and of what lets in
	@echo "running every branch of $(WHOLE)"
	@mkdir -p $(dir $(SHOWN))
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup --show=$(SHOWN) $(COVERED) $(PYTEST_BRANCHES) $(BRANCH_TESTS)

# What pages load is built from the package registry, and no part of this repository.
LFORMS := src/wiser_fhir/static/lforms
LFORMS_DIST := build/pages/node_modules/lforms/dist/lforms
.PHONY: pages
pages: $(LFORMS)/.built-$(call sum,pages/package-lock.json) ## Build LHC-Forms into the server, for previews (npm)

$(LFORMS)/.built-%:
	@command -v npm >/dev/null || { echo "npm is needed" >&2; exit 1; }
	@rm -rf $(LFORMS) && mkdir -p build/pages $(LFORMS)/assets/lib
	@cp pages/package.json pages/package-lock.json build/pages/
	@cd build/pages && npm ci --ignore-scripts --silent
	@cp $(LFORMS_DIST)/LICENSE.md $(LFORMS_DIST)/fhir/R4/lformsFHIR.min.js $(LFORMS)/
	@cd $(LFORMS_DIST)/webcomponent && cp lhc-forms.js styles.css *.png $(CURDIR)/$(LFORMS)/
	@cp $(LFORMS_DIST)/webcomponent/assets/lib/zone.min.js $(LFORMS)/assets/lib/
	@touch $@

.PHONY: check
check: $(RUNTIME) $(DEV) ## Lint, formatting, types, direction of imports
	@echo "ruff check"; $(BIN)/ruff check --quiet .
	@echo "ruff format"; $(BIN)/ruff format --quiet --check .
	@echo "mypy --strict"; $(BIN)/mypy
	@echo "lint-imports"; $(BIN)/lint-imports --no-logo

SCAN := build/scan/installed-$(call sum,requirements/scan.txt)
$(SCAN):
	@echo "installing what looks at the code (half a minute, the first time)"
	@rm -rf build/scan && $(PYTHON) -m venv build/scan
	@build/scan/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/scan.txt
	@touch $@

.PHONY: scan
scan: $(SCAN) ## Look for holes: bandit, own semgrep rules, secrets, advisories
	@build/scan/bin/python -m scan

$(TLS_SCAN):
	@echo "installing what looks at the listeners"
	@rm -rf build/tls-scan && $(PYTHON) -m venv build/tls-scan
	@build/tls-scan/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/tls-scan.txt
	@touch $@

.PHONY: sbom
sbom: $(SCAN) ## Write what the server is made of, as CycloneDX (build/sbom.json)
	@build/scan/bin/cyclonedx-py requirements requirements/runtime.txt --no-validate -o build/sbom.json
	@echo "build/sbom.json"

.PHONY: fuzz fuzz-readers fuzz-doors
fuzz: fuzz-readers fuzz-doors ## Fuzz the readers of strangers' bytes, and the doors (SECONDS=60 each)

fuzz-readers: $(RUNTIME) $(DEV)
	@$(BIN)/python -m fuzz all $(SECONDS)

fuzz-doors: $(RUNTIME) $(DEV)
	@$(BIN)/python -m fuzz.api $(SECONDS)

.PHONY: bench
bench: $(RUNTIME) $(DEV) ## Measure against the floors (15 minutes)
	@$(BIN)/python -m bench

.PHONY: oracle
oracle: $(RUNTIME) $(DEV) ## Compare our validator with HL7's over everything (Java, Maven)
	@command -v java >/dev/null && command -v mvn >/dev/null || { echo "java and mvn are needed" >&2; exit 1; }
	@$(BIN)/python -m tests.oracle.agreement

.PHONY: wheel
wheel: $(RUNTIME) pages ## Build the wheel and try it in an environment of its own, as the Dockerfile does
	@rm -rf build/wheel && mkdir -p build/wheel
	@echo "building the wheel"; $(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .
	@$(PYTHON) -m venv build/wheel/venv
	@echo "installing it"; build/wheel/venv/bin/python -m pip install --quiet --require-hashes -r requirements/runtime.txt
	@build/wheel/venv/bin/python -m pip install --quiet --no-deps build/wheel/*.whl
	@cd build/wheel && venv/bin/wiser-fhir coverage check >/dev/null
	@cd build/wheel && WISER_MODE=sandbox WISER_DATA_DIR=data venv/bin/wiser-fhir migrate

.PHONY: cql
cql: $(RUNTIME) $(DEV) ## Translate the population logic anew (Node)
	@$(BIN)/python -c 'from tests.conformance.dtr import charts_run as run; run.compile_to(run.LOGIC / "elm")'

.PHONY: docs
docs: $(RUNTIME) ## Write the pages that are made from the code
	@$(BIN)/python -c 'from wiser_fhir.deployment.configuration import configuration_page as page; print(page(), end="")' > docs/configuration.md

.PHONY: lock
lock: $(UV) ## Renew the lock files
	@$(COMPILE) pyproject.toml --output-file requirements/runtime.txt
	@$(COMPILE) pyproject.toml --extra dev --constraint requirements/runtime.txt --output-file requirements/dev.txt
	@$(COMPILE) requirements/scan.in --output-file requirements/scan.txt
	@$(COMPILE) requirements/tls-scan.in --output-file requirements/tls-scan.txt
	@$(COMPILE) requirements/build.in --constraint requirements/dev.txt --output-file requirements/build.txt

$(UV):
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip install --quiet uv==$(UV_VERSION)
