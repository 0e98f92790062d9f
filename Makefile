# The few commands people need. Build caches stay outside the checkout.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/porpoise
export CARGO_TARGET_DIR ?= $(CACHE)/target
RIG := cargo run --quiet -p porpoise-e2e --bin rig --
SCENARIOS := cargo test -p porpoise-e2e

.PHONY: demo test test-pure test-server test-cluster durations bench lint generate bundle down

## A real three-node Kubernetes on this machine, and a MySQLCluster on it.
demo:
	cargo run --quiet -p porpoise-e2e --bin demo

## Everything: checks, pure code, real servers, a real cluster.
test: lint test-pure test-server test-cluster

## Decisions, validation, builders, GTID algebra, crate borders, generated files.
test-pure:
	cargo test --workspace --exclude porpoise-agent --exclude porpoise-e2e

## The agent against real MySQL servers and a real S3 store, without Kubernetes.
test-server:
	PORPOISE_MYSQL_ROOT="$$($(RIG) mysql-root)" PORPOISE_STORE="$$($(RIG) store-program)" \
	PORPOISE_AZURE="$$($(RIG) azure-program)" PORPOISE_GCS="$$($(RIG) gcs-program)" \
	RUST_TEST_THREADS=3 cargo test -p porpoise-agent

## The product as people run it, on the rig or (CLUSTER=current) on the cluster of KUBECONFIG.
test-cluster:
	[ "$$CLUSTER" = current ] || $(RIG) snapshot-programs
	$(SCENARIOS)

## Everything, and how long each suite took: docs/src/test-durations.md
durations:
	mkdir -p $(CACHE) && $(MAKE) test 2>&1 | tee $(CACHE)/test.log
	cargo run --quiet -p porpoise-e2e --bin durations < $(CACHE)/test.log

## Figures, with the floor of the same run: docs/benchmarks/results.json. One case: make bench CASE=failover-kill CYCLES=10
bench:
	PORPOISE_PROFILE=release cargo run --quiet -p porpoise-e2e --bin bench -- $(CASE)

## Format, clippy, generated files.
lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo run --quiet -p porpoise-crdgen -- check

## Write the generated files again: CRDs, manifests, chart copies, reference, OLM bundle.
generate:
	cargo run --quiet -p porpoise-crdgen -- write

## The OLM bundle is one of the generated files.
bundle: generate

## Stop the rig and leave nothing.
down:
	$(RIG) down
