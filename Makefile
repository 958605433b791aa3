# The two commands of this project: `make test` (all that CI runs) and `make dist` (the release binary).
# `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help

VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -n1)
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(TARGET_DIR)/release/dcams-gateway
# The one that benchmarks measure: of the profile of `make dist`.
MEASURED := $(abspath $(TARGET_DIR))/dist/dcams-gateway

# Clippy's lints and the compiler's texts in tests/compile_fail are those of this version. Where rustup has it, or
# can get it, it is used; elsewhere the toolchain of rust-toolchain.toml, and `make toolchain` says so.
RUST := 1.95.0
ifeq ($(shell rustc +$(RUST) --version 2>/dev/null | cut -d' ' -f2),$(RUST))
export RUSTUP_TOOLCHAIN := $(RUST)
endif

# Every integration test runs in release; compile-fail tests are checked in debug, where they are faster.
# A test is a file or a folder with a main.rs, as cargo finds them; `make test-list` compares.
RELEASE_TESTS := $(sort $(filter-out compile_fail,\
    $(patsubst tests/%.rs,%,$(wildcard tests/*.rs)) $(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs))))

MUSL := x86_64-unknown-linux-musl
DIST := dist/dcams-gateway-$(VERSION)-$(MUSL)

# Each is a file of fuzz/src/bin; seconds for each, and at most for finding its planted bug.
FUZZ_TARGETS := parse_inject route_policy answer_checks configuration audit_records audit_log
FUZZ_SECONDS ?= 60
# Threads of the gateway's own look like leaks, and each search for one costs 25 ms; and with thousands of features in an
# input the schedule by entropy takes most of the time.
FUZZ_FLAGS := -detect_leaks=0 -entropic=0
IMAGE ?= dcams-gateway:$(VERSION)
# Of the released binary: clear-on-free, or none.
FEATURES ?=

define headline
@printf '\n==> %s\n' '$(1)'
endef

.PHONY: help
help: ## This list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "%-14s %s\n", $$1, $$2 }'

.PHONY: test
test: toolchain deps fmt lint doc unit compile-fail clear-on-free integration clients deny deploy-check ## All that CI runs, one step after the other.
	$(call headline,all steps passed)

.PHONY: toolchain
toolchain: ## Which compiler is used, and whether it is the one that the lints and texts were made with.
	$(call headline,toolchain: Rust $(RUST))
	rustc --version
	if [ "$$(rustc --version | cut -d' ' -f2)" != $(RUST) ]; then
	    echo 'WARNING: not Rust $(RUST): clippy and compile-fail may find what is no fault of the code.' >&2
	    echo '         rustup toolchain install $(RUST)' >&2
	fi

.PHONY: deps
deps: ## Install from Debian what the tests need and this machine lacks.
	$(call headline,deps: programs that the tests use)
	.ci/deps

.PHONY: fmt
fmt: ## The formatting is rustfmt's.
	$(call headline,fmt: cargo fmt --check)
	cargo fmt --check

.PHONY: lint
lint: ## Clippy, warnings denied.
	$(call headline,lint: cargo clippy)
	cargo clippy --locked --all-targets -- -D warnings

.PHONY: doc
doc: ## The library's documentation, warnings denied.
	$(call headline,doc: cargo doc)
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --lib

.PHONY: unit
unit: ## Unit and documentation tests.
	$(call headline,unit: cargo test --lib --bins)
	cargo test --locked --lib --bins
	$(call headline,unit: cargo test --doc)
	cargo test --locked --doc

.PHONY: compile-fail
compile-fail: ## What must not compile, does not, and says why.
	$(call headline,compile-fail: cargo test --test compile_fail)
	cargo test --locked --test compile_fail

# Unoptimised: it is the same code, and builds in a fraction of the time.
.PHONY: clear-on-free
clear-on-free: deps ## The build that clears freed memory: what root finds in it.
	$(call headline,clear-on-free: cargo test --features clear-on-free --test reliability memory)
	cargo test --locked --features clear-on-free --test reliability memory

.PHONY: release
release: ## The release binary for this machine.
	$(call headline,release: cargo build --release)
	cargo build --locked --release

.PHONY: test-list
test-list: deps ## No integration test of cargo's list is left out here.
	$(call headline,test-list: cargo metadata)
	known=$$(cargo metadata --locked --no-deps --format-version 1 |
	    jq -r '.packages[].targets[] | select(.kind == ["test"]) | .name' | sort | xargs)
	ours=$$(printf '%s\n' compile_fail $(RELEASE_TESTS) | sort | xargs)
	if [ "$$known" != "$$ours" ]; then
	    printf 'cargo has the tests %s\nmake runs the tests %s\n' "$$known" "$$ours" >&2
	    exit 1
	fi

.PHONY: integration
integration: test-list release ## The release binary over real sockets.
	$(call headline,integration: cargo test --release ($(RELEASE_TESTS)))
	cargo test --locked --release $(addprefix --test ,$(RELEASE_TESTS))

.PHONY: clients
clients: deps release ## curl, Python, Node and PHP through the gateway against the DCAMS double.
	$(call headline,clients: tests/clients)
	tests/clients/with-gateway $(BINARY) tests/clients/run

.PHONY: deny
deny: ## Licences, bans and sources of all crates; advisories where a database is present.
	$(call headline,deny: cargo deny)
	if ! cargo deny --version >/dev/null 2>&1; then
	    echo 'WARNING: cargo-deny is not installed: licences, bans, sources and advisories NOT CHECKED' >&2
	    echo '         cargo install --locked cargo-deny' >&2
	    exit 0
	fi
	cargo deny --locked check bans licenses sources
	# Nothing here fetches the database (a clone from github.com): `cargo deny fetch` does, where that is possible.
	if compgen -G "$${CARGO_HOME:-$$HOME/.cargo}/advisory-dbs/*/.git" >/dev/null; then
	    cargo deny --locked --offline check advisories
	else
	    echo 'WARNING: no advisory database on this machine: advisories NOT CHECKED (cargo deny fetch)' >&2
	fi

.PHONY: deploy-check
deploy-check: release ## The unit, the manifest and the sample configurations of deploy/.
	$(call headline,deploy-check: deploy/verify)
	deploy/verify $(BINARY)

# The planted bug shows that a target can find one at all; what it finds is removed again.
.PHONY: fuzz-smoke
fuzz-smoke: ## Each fuzz target for FUZZ_SECONDS (60), and whether it finds a planted bug; needs nightly and cargo-fuzz.
	for target in $(FUZZ_TARGETS); do
	    printf '\n==> fuzz: %s\n' "$$target"
	    dictionary=fuzz/$$(case $$target in route_policy) echo heads;; configuration) echo toml;; *) echo json;; esac).dict
	    cargo +nightly fuzz run "$$target" -- -dict=$$dictionary $(FUZZ_FLAGS) -max_total_time=$(FUZZ_SECONDS)
	    printf '\n==> fuzz: %s with a planted bug, which it must find\n' "$$target"
	    cargo +nightly fuzz build --features planted-bug "$$target"
	    found=$$(mktemp -d)
	    if cargo +nightly fuzz run --features planted-bug "$$target" -- -dict=$$dictionary $(FUZZ_FLAGS) \
	        -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -artifact_prefix="$$found/" >"$$found/log" 2>&1; then
	        tail -n5 "$$found/log" >&2
	        echo "fuzz: $$target did not find the planted bug" >&2
	        exit 1
	    fi
	    if ! compgen -G "$$found/crash-*" >/dev/null; then
	        tail -n20 "$$found/log" >&2
	        echo "fuzz: $$target failed, but not for an input that it found" >&2
	        exit 1
	    fi
	    runs=$$(sed -n 's/^stat::number_of_executed_units: *//p' "$$found/log")
	    echo "found after $$runs runs: $$(basename "$$found"/crash-*)"
	    rm -r "$$found"
	done

# Words for the contest, as benches/contest/main.rs lists them: `make bench CONTEST='rounds=3 only=S,L'`.
CONTEST ?=

# What is handed out, but for the static link: cargo bench builds one that has what only tests want of tokio, a clock
# that can be paused, and so a lock at each look at it.
.PHONY: bench-binary
bench-binary:
	$(call headline,bench-binary: cargo build --profile dist)
	cargo build --locked --profile dist --bin dcams-gateway

.PHONY: bench-peers
bench-peers:
	benches/contest/install $(TARGET_DIR)/tmp/contest/installed

.PHONY: bench
bench: bench-binary bench-peers ## What a request costs here, beside what users would pick instead: the contest of benches/README.md.
	$(call headline,bench: cargo bench --bench contest)
	cargo bench --locked --bench contest -- binary=$(MEASURED) $(CONTEST)

.PHONY: bench-guard bench-guard-write
bench-guard: bench-binary bench-peers ## Instructions a request (callgrind), within 5 % of benches/contest/instructions.txt.
	$(call headline,bench-guard: callgrind)
	cargo bench --locked --bench contest -- guard binary=$(MEASURED)

bench-guard-write: bench-binary bench-peers ## Makes what is counted now the figure to compare with.
	$(call headline,bench-guard-write: callgrind)
	cargo bench --locked --bench contest -- guard=write binary=$(MEASURED)

# The same with the names of its functions: only the last step of the build is made again.
.PHONY: bench-profile
bench-profile: bench-peers ## In which functions the instructions of a small request, an upload and a download are.
	$(call headline,bench-profile: callgrind)
	cargo rustc --locked --profile dist --bin dcams-gateway -- -C strip=none
	mv $(MEASURED) $(TARGET_DIR)/dcams-gateway-with-names
	cargo bench --locked --bench contest -- guard=profile binary=$(abspath $(TARGET_DIR))/dcams-gateway-with-names

# Cases per property, of which CI runs 256; edits of logs, of which CI runs 400.
CASES ?= 100000
EDITS ?= 10000
# Lines of the log that questions are asked of, of which CI writes 20,000.
RECORDS ?= 10000000
# Kills of a gateway under load, of which CI does 5, and requests of a flooding stranger, of which CI sends 20,000.
AUDIT_KILLS ?= 1000
AUDIT_FLOOD ?= 1000000
# Rotations of credentials under load, of which CI does 20.
ROTATIONS ?= 1000
# Requests for each fault of the upstream, reads and writes, HTTP/1.1 and 2, of which CI sends 8.
RETRY_RUNS ?= 1000
# Requests before memory is searched, of which CI sends 50.
MEMORY_REQUESTS ?= 1000
# Restarts under load, of which CI does 3.
DRAIN_RESTARTS ?= 100
# Requests of several callers while the upstream sends answers twice, of which CI sends 5,000.
CROSSING ?= 1000000

# Seeds of the simulation, of which CI runs 300.
SIMULATIONS ?= 20000

.PHONY: experiments
experiments: ## The properties with CASES (100000) cases each, the audit with large counts, half an hour of fuzzing a target; CI runs small counts of the same code.
	$(call headline,experiments: $(CASES) cases of each property)
	AUDIT_SEQUENCES=2000 AUDIT_CRASH_ROUNDS=40 PROPTEST_CASES=$(CASES) cargo test --locked --release --lib --test json --test configuration --test audit_questions
	$(call headline,experiments: questions to $(RECORDS) lines (TMPDIR needs 1 KB for each))
	RECORDS=$(RECORDS) cargo test --locked --release --test audit_questions speed -- --nocapture
	$(call headline,experiments: $(EDITS) edits of audit logs)
	TAMPER_EDITS=$(EDITS) TAMPER_HISTORIES=5000 TAMPER_WRITERS=200 TAMPER_SECOND=200 TAMPER_MIB=512 \
	    cargo test --locked --release --test tamper -- --nocapture
	$(call headline,experiments: the audit under $(AUDIT_KILLS) kills and faults and $(AUDIT_FLOOD) requests of a stranger)
	AUDIT_KILLS=$(AUDIT_KILLS) AUDIT_FLOOD=$(AUDIT_FLOOD) cargo test --locked --release --test audit -- --nocapture --test-threads 1
	$(call headline,experiments: $(SIMULATIONS) simulated runs)
	SIMULATION_SEEDS=$(SIMULATIONS) cargo test --locked --release --test simulation -- --nocapture
	$(call headline,experiments: $(ROTATIONS) rotations of credentials under load)
	ROTATIONS=$(ROTATIONS) cargo test --locked --release --test reliability rotation -- --nocapture --test-threads 1
	$(call headline,experiments: $(RETRY_RUNS) writes and reads for each fault of the upstream)
	RETRY_RUNS=$(RETRY_RUNS) cargo test --locked --release --test reliability retries -- --nocapture
	$(call headline,experiments: memory after $(MEMORY_REQUESTS) requests and a minute without and with clear-on-free)
	export MEMORY_REQUESTS=$(MEMORY_REQUESTS) MEMORY_IDLE_S=60 MEMORY_GCORE=1 MEMORY_SMALL=5000 MEMORY_UPLOADS=50
	cargo test --locked --release --features clear-on-free --test reliability memory -- --nocapture --test-threads 1
	cp $(BINARY) $(BINARY)-clearing
	cargo test --locked --release --test reliability memory -- --nocapture --test-threads 1
	MEMORY_CLEARING=$(abspath $(BINARY))-clearing \
	    cargo test --locked --release --test reliability clearing_costs_little -- --nocapture --ignored
	$(call headline,experiments: overload, slow and greedy peers)
	OVERLOAD_STRICT=1 OVERLOAD_REQUESTS=16 OVERLOAD_SECONDS=10 OVERLOAD_ROUNDS=20 \
	    cargo test --locked --release --test reliability overload -- --nocapture --test-threads 1
	PEERS_REQUESTS=2000 cargo test --locked --release --test reliability peers -- --nocapture --test-threads 1
	$(call headline,experiments: $(DRAIN_RESTARTS) restarts under load and 500 requests in flight at SIGTERM)
	DRAIN_RESTARTS=$(DRAIN_RESTARTS) cargo test --locked --release --test reliability drain:: -- --nocapture --test-threads 1
	$(call headline,experiments: $(CROSSING) interleaved requests while answers are sent twice)
	CROSSING_REQUESTS=$(CROSSING) cargo test --locked --release --test reliability crossing -- --nocapture --test-threads 1
	$(MAKE) fuzz-smoke FUZZ_SECONDS=1800

.PHONY: demo
demo: ## The double, the gateway, three callers: a tour of what it does.
	cargo run --locked --release -- demo

# AWS_LC_SYS_USE_SYSTEM=0: never link an AWS-LC that happens to be installed. The paths of the machine that
# builds do not enter the binary.
.PHONY: dist
dist: ## The stripped static binary (musl), with its sha256, in dist/.
	$(call headline,dist: $(DIST))
	rustc --print target-libdir --target $(MUSL) | xargs test -d ||
	    { echo 'run: rustup target add $(MUSL)' >&2; exit 1; }
	command -v musl-gcc >/dev/null || { echo 'install musl-tools' >&2; exit 1; }
	export CC_x86_64_unknown_linux_musl=musl-gcc AWS_LC_SYS_USE_SYSTEM=0
	export RUSTFLAGS="--remap-path-prefix=$(CURDIR)=/src --remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=/cargo"
	cargo build --locked --profile dist --bin dcams-gateway --target $(MUSL) --features '$(FEATURES)'
	rm -rf dist
	install -D -m 755 $(TARGET_DIR)/$(MUSL)/dist/dcams-gateway $(DIST)
	deploy/verify-static $(DIST) $(VERSION)
	cd dist
	sha256sum $(notdir $(DIST)) | tee $(notdir $(DIST)).sha256

.PHONY: image
image: dist ## The container image, from the binary of dist/; needs Docker.
	$(call headline,image: $(IMAGE))
	docker build -f deploy/Dockerfile --build-arg BINARY=$(DIST) --build-arg VERSION=$(VERSION) -t $(IMAGE) .

.PHONY: clean
clean: ## Remove what was built.
	cargo clean
	rm -rf dist
