# Each target is one command. `make help` lists the targets with the text after `##`.
# The logic lives in `python3 -m local` (the local cluster) and in the tools that pyproject.toml configures.

PYTHON ?= python3
LOCAL := PYTHONPATH=$(CURDIR) $(PYTHON) -m local

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Start a cluster, install Caisson, and run a container in a sandbox
	@$(LOCAL) demo

.PHONY: prerequisites
prerequisites: ## Check the machine and install missing system packages (other targets do this, too)
	@$(LOCAL) prerequisites

.PHONY: up
up: ## Start or repair the local cluster, and build missing components
	@$(LOCAL) up

.PHONY: down
down: ## Stop and remove the local cluster, except the build cache
	@$(LOCAL) down

.PHONY: images
images: ## Build the images, and load them into the cluster if it is up
	@$(LOCAL) images

.PHONY: kubeconfig
kubeconfig: ## Print the path of a kubeconfig (use: make -s kubeconfig)
	@$(LOCAL) kubeconfig

# Evaluated once, and only by targets that need the development tools.
VENV = $(eval VENV := $$(shell $(LOCAL) venv))$(VENV)
# The kubectl of the machine, or the pinned version from the cache.
KUBECTL = $(eval KUBECTL := $$(shell $(LOCAL) kubectl))$(KUBECTL)
GO = $(eval GO := $$(shell $(LOCAL) go))$(GO)
RUN = PYTHONPATH=$(CURDIR)/operator:$(CURDIR) $(VENV)/bin/
WITH_KUBECTL = PATH="$(dir $(KUBECTL)):$$PATH" $(RUN)

.PHONY: test
test: prerequisites lint unit chart e2e ## Run all checks: lint, types, unit, chart and end-to-end tests

.PHONY: lint
lint: ## Check style, types, import contracts and shell scripts
	@$(RUN)ruff check
	@$(RUN)ruff format --check
	@$(RUN)mypy operator local tests benchmarks tools charts
	@$(RUN)lint-imports --no-cache
	@$(RUN)shellcheck --shell=busybox --external-sources \
		toolbox/build/* $$(find toolbox/libexec tests/toolbox/fakes -type f) benchmarks/floor.sh benchmarks/simulated/busybox
	@$(RUN)shellcheck manifests/verify-network.sh
	@cd toolbox/agent && $(GO) vet ./... && test -z "$$("$$($(GO) env GOROOT)/bin/gofmt" -d . | tee /dev/stderr)"

.PHONY: unit
unit: ## Run the tests that need no cluster
	@$(RUN)pytest --numprocesses=2 tests/unit tests/toolbox
	@cd toolbox/agent && $(GO) test ./...

.PHONY: chart
chart: ## Run the chart's tests, without a cluster: helm lint, helm-unittest, kubeconform, drift
	@$(RUN)pytest tests/chart

# Tests mostly wait, so two at a time take little longer than one.
BESIDE = $(WITH_KUBECTL)pytest --numprocesses=2 --dist=loadfile --durations=10
ALONE = $(WITH_KUBECTL)pytest --durations=10
TEST_IMAGES = non-root own-docker hanging-docker lying-docker over-toolbox musl distroless exits

.PHONY: e2e
e2e: up ## Run the end-to-end tests on the local cluster
	@$(LOCAL) images
	@$(LOCAL) images $(TEST_IMAGES)
	@$(BESIDE) tests/e2e tests/docker -m "not campaign and not alone"
	@$(ALONE) tests/e2e tests/docker tests/hostile tests/faults tests/audit -m "not campaign and alone"

.PHONY: test-faults
test-faults: up ## Test all faults, including a kill of the operator at each of its writes (25 min)
	@$(LOCAL) images
	@$(ALONE) tests/faults

.PHONY: test-chart
test-chart: up ## Test all ways to install, upgrade and remove the chart, with kills of its operator (9 min)
	@$(LOCAL) images
	@$(LOCAL) images toolbox-29
	@$(ALONE) tests/e2e/test_chart.py tests/e2e/test_recovery.py

.PHONY: test-hostile
test-hostile: up ## Test all hostile Sandboxes and all attacks from inside a sandbox (15 min)
	@$(LOCAL) images
	@$(LOCAL) images $(TEST_IMAGES)
	@$(ALONE) tests/hostile

.PHONY: test-docker
test-docker: up ## Test Docker with all versions, storage types, registries and workloads (30 min)
	@$(LOCAL) images
	@$(LOCAL) images toolbox-29 $(TEST_IMAGES)
	@$(BESIDE) tests/docker -m "not alone"
	@$(ALONE) tests/docker -m alone

.PHONY: generate
generate: ## Write generated files: CRDs, reference, values schema, manifests/install.yaml
	@$(RUN)python -m tools.generate
	@$(RUN)python -m tools.manifest

MEASURE = KUBECONFIG=$$($(LOCAL) kubeconfig) $(WITH_KUBECTL)python -m benchmarks

.PHONY: bench
bench: up ## Measure cold, warm and many starts, and sandboxes at rest, next to a floor (45 min)
	@$(LOCAL) images
	@$(MEASURE)

.PHONY: bench-scale
bench-scale: up ## Measure the operator with 5,000 Sandboxes on simulated nodes (15 min, and 3 min for the first build)
	@$(LOCAL) images
	@$(MEASURE).scale

.PHONY: bench-storage
bench-storage: up ## Measure the cost of each storage type: start, pull, build, run, write
	@$(LOCAL) images
	@$(LOCAL) images registry
	@$(MEASURE).storage
