# Every target is one command; `make help` lists them from the `##` after their names.
# The logic lives in `python3 -m local` (the local cluster) and in the tools that pyproject.toml configures.

PYTHON ?= python3
LOCAL := PYTHONPATH=$(CURDIR) $(PYTHON) -m local

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## From nothing to a container inside a sandbox: cluster, images, operator, sample
	@$(LOCAL) demo

.PHONY: prerequisites
prerequisites: ## Check the machine, install missing system packages (others do it too)
	@$(LOCAL) prerequisites

.PHONY: up
up: ## Start the local cluster (builds what is missing, repairs what is half done)
	@$(LOCAL) up

.PHONY: down
down: ## Stop the local cluster and remove all of it but the build cache
	@$(LOCAL) down

.PHONY: images
images: ## Build the images and load them into the cluster when it is up
	@$(LOCAL) images

.PHONY: kubeconfig
kubeconfig: ## Print the path of a kubeconfig (use: make -s kubeconfig)
	@$(LOCAL) kubeconfig

# Evaluated once, and only by the targets that need the development tools.
VENV = $(eval VENV := $$(shell $(LOCAL) venv))$(VENV)
# kubectl is the machine's, or else the pinned one of the cache.
KUBECTL = $(eval KUBECTL := $$(shell $(LOCAL) kubectl))$(KUBECTL)
RUN = PYTHONPATH=$(CURDIR)/operator:$(CURDIR) $(VENV)/bin/
WITH_KUBECTL = PATH="$(dir $(KUBECTL)):$$PATH" $(RUN)

.PHONY: test
test: prerequisites lint unit chart e2e ## Everything that must hold: lint, types, unit, chart and end-to-end tests

.PHONY: lint
lint: ## Style, types, import contracts, shell scripts
	@$(RUN)ruff check
	@$(RUN)ruff format --check
	@$(RUN)mypy operator local tests benchmarks tools charts
	@$(RUN)lint-imports --no-cache
	@$(RUN)shellcheck --shell=busybox --external-sources \
		toolbox/build/* $$(find toolbox/libexec tests/toolbox/fakes -type f) benchmarks/floor.sh benchmarks/simulated/busybox
	@$(RUN)shellcheck manifests/verify-network.sh

.PHONY: unit
unit: ## The tests that need no cluster, in seconds
	@$(RUN)pytest --numprocesses=2 tests/unit tests/toolbox

.PHONY: chart
chart: ## The chart's tests that need no cluster, in seconds: helm lint, helm-unittest, kubeconform, drift
	@$(RUN)pytest tests/chart

# Most of a test is waiting: two at a time take little more than one.
BESIDE = $(WITH_KUBECTL)pytest --numprocesses=2 --dist=loadfile --durations=10
ALONE = $(WITH_KUBECTL)pytest --durations=10
TEST_IMAGES = non-root own-docker hanging-docker lying-docker over-toolbox musl distroless exits

.PHONY: e2e
e2e: up ## The end-to-end tests, on the local cluster
	@$(LOCAL) images
	@$(LOCAL) images $(TEST_IMAGES)
	@$(BESIDE) tests/e2e tests/docker -m "not campaign and not alone"
	@$(ALONE) tests/e2e tests/docker tests/hostile tests/faults tests/audit -m "not campaign and alone"

.PHONY: test-faults
test-faults: up ## Every fault that we know to provoke, with the operator killed at each of its writes (25 min)
	@$(LOCAL) images
	@$(ALONE) tests/faults

.PHONY: test-chart
test-chart: up ## Every way to install, upgrade and remove the chart, and every moment to kill its operator (9 min)
	@$(LOCAL) images
	@$(LOCAL) images toolbox-29
	@$(ALONE) tests/e2e/test_chart.py tests/e2e/test_recovery.py

.PHONY: test-hostile
test-hostile: up ## Every hostile Sandbox and every attack from inside one (15 min)
	@$(LOCAL) images
	@$(LOCAL) images $(TEST_IMAGES)
	@$(ALONE) tests/hostile

.PHONY: test-docker
test-docker: up ## Docker in earnest: every version, storage, registry and workload (30 min)
	@$(LOCAL) images
	@$(LOCAL) images toolbox-29 $(TEST_IMAGES)
	@$(BESIDE) tests/docker -m "not alone"
	@$(ALONE) tests/docker -m alone

.PHONY: generate
generate: ## Write what is generated: CRD, reference, schema of the values, manifests/install.yaml
	@$(RUN)python -m tools.generate
	@$(RUN)python -m tools.manifest

MEASURE = KUBECONFIG=$$($(LOCAL) kubeconfig) $(WITH_KUBECTL)python -m benchmarks

.PHONY: bench
bench: up ## Measure cold, warm and many starts, and sandboxes at rest, each next to a floor; tables, JSON, plots (45 min)
	@$(LOCAL) images
	@$(MEASURE)

.PHONY: bench-scale
bench-scale: up ## Measure the operator with 5,000 Sandboxes on simulated nodes (15 min, and 3 to build the simulator once)
	@$(LOCAL) images
	@$(MEASURE).scale

.PHONY: bench-storage
bench-storage: up ## Measure what each storage costs: start, pull, build, run, write
	@$(LOCAL) images
	@$(LOCAL) images registry
	@$(MEASURE).storage
