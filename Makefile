# The only place that knows how to set a machine up. `make` alone lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

.PHONY: demo
demo: ## The whole service on this machine: droplets, site.yml, ten requests. V=1 shows all output
	@scripts/demo

.PHONY: test
test: ## Every check of the project
	@scripts/setup test
	@.venv/bin/python scripts/run_checks.py

.PHONY: quick
quick: ## The checks that need no droplets
	@scripts/setup test
	@.venv/bin/python scripts/run_checks.py --quick

# A Mac's own folder for temporary files has too long a path for UNIX sockets
.PHONY: unit
unit: ## Unit tests, in seconds and without root. T=tests/unit/... names one; without it, all that can run here
	@scripts/setup unit
	@TMPDIR=/tmp .venv/bin/pytest $(or $(T),--numprocesses auto)

.PHONY: sanity
sanity: ## ansible-test sanity, by default with every ansible-core that Python 3.11 can install. CORES=2.20.10 names others
	@scripts/setup test
	@CORES="$(CORES)" scripts/sanity

.PHONY: docs
docs: ## The pages of docs/ and the reference, as HTML in .build/docs/html
	@scripts/setup test
	@scripts/docs

# The library that benchmarks share with tests, and the hits app
bench bench-%: export PYTHONPATH := $(CURDIR)/tests:$(CURDIR)/roles/hits/files

.PHONY: bench
bench: bench-inventory bench-haproxy bench-hits bench-operations ## Every benchmark

.PHONY: bench-inventory
bench-inventory: ## The inventory plugin beside a static file and other plugins. ARGS=--help says more
	@scripts/setup demo
	@.venv/bin/python benchmarks/inventory.py $(ARGS)

.PHONY: bench-haproxy
bench-haproxy: ## Role haproxy's default file beside others: requests a second, p99, reloads. ARGS=--help says more
	@scripts/setup demo
	@.venv/bin/python benchmarks/load_balancer.py $(ARGS)

.PHONY: bench-hits
bench-hits: ## What counting costs the hits app, with 0, 10^6 and 10^8 former hits. ARGS=--help says more
	@scripts/setup bench
	@.venv/bin/python benchmarks/hits_app.py $(ARGS)

.PHONY: bench-operations
bench-operations: ## What clients notice of deploys, scaling and faults, with pictures. ARGS=--help says more
	@scripts/setup test
	@scripts/bench_operations $(ARGS)

.PHONY: setup
setup: ## What the other targets need: packages, .venv, collections
	@scripts/setup test

.PHONY: controller
controller: ## What the playbooks need to run from here: Ansible in .venv, and collections. Without root, on a Mac too
	@scripts/setup controller

.PHONY: clean
clean: ## Remove everything that make made on this machine, droplets of the lab included
	@scripts/clean
