# make help lists the targets.

CARGO ?= cargo
SEEDS ?= 10
# Each integration test runs two or three MySQL servers and waits for them most of the time.
TEST_THREADS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n + 1 : n)))
FUZZ_SECONDS ?= 60

TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)
CHECKED = --all-targets --features failpoints

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench bench-catchup bench-latency bench-memory bench-decode soak drill fuzz clean tools \
        fuzz-tools

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: tools ## The runbook on real MySQL servers under load; DEMO_SECONDS=30 ends by itself on a terminal too
	$(CARGO) build --quiet --profile demo --bin binbridge --example demo
	@BINBRIDGE_BIN="$(abspath $(TARGET_DIR)/demo/binbridge)" "$(TARGET_DIR)/demo/examples/demo"

test: tools lint ## Lints, unit, property and integration tests, documentation: what .ci/run calls
	$(CARGO) test --features failpoints -- --test-threads=$(TEST_THREADS)
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --quiet

lint: tools ## Formatting and clippy, warnings denied
	$(CARGO) fmt --check
	$(CARGO) clippy --quiet $(CHECKED) -- -D warnings

bench: tools ## Every workload, everyone, at 0 and at 40 ms; writes target/bench/all.json (takes an hour)
	BENCH_TRANSACTIONS=$${BENCH_TRANSACTIONS:-20000} $(CARGO) bench --bench rig -- all

bench-catchup: tools ## Catching up, beside native replicas; writes target/bench/catchup.json
	$(CARGO) bench --bench rig -- catchup

bench-latency: tools ## Commit to commit, beside the native replica; writes target/bench/latency.json
	$(CARGO) bench --bench rig -- latency

bench-memory: tools ## Memory in steady state and under a 1 GiB transaction; writes target/bench/memory.json
	$(CARGO) bench --bench rig -- memory

bench-decode: tools ## The reader stage by stage, beside mysql_common and mysqlbinlog; writes target/bench/decode.json
	@mkdir -p "$(TARGET_DIR)/bench"
	BENCH_OUT="$(abspath $(TARGET_DIR)/bench)" $(CARGO) bench --manifest-path benches/decode/Cargo.toml \
	  --target-dir "$(TARGET_DIR)/decode"

soak: tools ## The kill test in its long form; SEEDS=n says how many seeds
	SOAK_SEEDS=$(SEEDS) $(CARGO) test --features failpoints --test it soak -- --nocapture

drill: tools ## Beside native replication: every failure, way and kill, then the times (a quarter of an hour)
	DRILL_WHOLE=1 $(CARGO) test --features failpoints --test it drill:: -- --include-ignored --skip drill::times \
	  --test-threads=$(TEST_THREADS)
	DRILL_ROUNDS=$${DRILL_ROUNDS:-5} $(CARGO) test --features failpoints --test it drill::times -- --ignored --nocapture

fuzz: tools fuzz-tools ## Each fuzz target for FUZZ_SECONDS (60)
	@set -e; for target in $$($(CARGO) fuzz list --fuzz-dir tests/fuzz); do \
	  mkdir -p "$(TARGET_DIR)/fuzz/corpus/$$target" "$(TARGET_DIR)/fuzz/artifacts/$$target"; \
	  echo "fuzz $$target for $(FUZZ_SECONDS) s"; \
	  $(CARGO) +nightly fuzz run --fuzz-dir tests/fuzz --target-dir "$(TARGET_DIR)/fuzz" "$$target" \
	    "$(TARGET_DIR)/fuzz/corpus/$$target" proto-fixtures proto-fixtures/hostile -- \
	    -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -timeout=10 -print_final_stats=1 -verbosity=0 \
	    -artifact_prefix="$(TARGET_DIR)/fuzz/artifacts/$$target/"; \
	done

clean: ## Remove what was built (fetched MySQL stays in its cache)
	$(CARGO) clean

# What is missing is said before anything is built.
tools:
	@command -v $(firstword $(CARGO)) >/dev/null || \
	  { echo "cargo is missing: install Rust (https://rustup.rs), or say CARGO=/path/to/cargo" >&2; exit 1; }
	@command -v cc >/dev/null || \
	  { echo "a C compiler is missing (cc): on Debian and Ubuntu, apt-get install gcc libc6-dev" >&2; exit 1; }
	@[ -n "$$BINBRIDGE_MYSQLD" ] || command -v mysqld >/dev/null || [ ! -e /etc/debian_version ] || \
	  { command -v apt-get >/dev/null && command -v dpkg >/dev/null; } || \
	  { echo "apt-get and dpkg are needed to fetch MySQL; or name one: BINBRIDGE_MYSQLD=/path/to/mysqld" >&2; exit 1; }
	@[ -n "$$BINBRIDGE_MYSQLD" ] || command -v mysqld >/dev/null || [ -e /etc/debian_version ] || \
	  { echo "MySQL can be fetched on Debian and Ubuntu only; name one: BINBRIDGE_MYSQLD=/path/to/mysqld" >&2; exit 1; }

fuzz-tools:
	@$(CARGO) +nightly --version >/dev/null 2>&1 || \
	  { echo "fuzzing needs a nightly toolchain: rustup toolchain install nightly" >&2; exit 1; }
	@$(CARGO) fuzz --version >/dev/null 2>&1 || \
	  { echo "cargo-fuzz is missing: installing it"; $(CARGO) install --locked cargo-fuzz; }
