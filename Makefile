# Every target is one command; `make help` lists them from the `##` after their names.
# The logic lives in `python3 -m local` (the local cluster) and in the tools that pyproject.toml configures.

PYTHON ?= python3
LOCAL := PYTHONPATH=$(CURDIR) $(PYTHON) -m local

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## From nothing to a container inside a sandbox: cluster, images, operator, sample
	@$(LOCAL) demo

.PHONY: prerequisites
prerequisites: ## Check the machine and install missing system packages (all other targets do so too)
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
