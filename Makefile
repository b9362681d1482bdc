# Every command a person needs. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

# The server to run and to test against, and where `make run` listens.
export REDIS_SERVER ?= redis-server
PORT ?= 6379

MODULE := target/release/libredis_lock.so
# Whatever else is set: the files named here are built here.
export CARGO_TARGET_DIR := $(CURDIR)/target
# Where the server of `make run` keeps its files.
DATA ?= target/run

.PHONY: help setup build run cli demo test test-faults faults-record test-matrix servers bench bench-throughput bench-contention bench-instructions verify fmt-check lint doc fix clean test-the-tests fuzz test-corruption test-valgrind test-valgrind-short simulate model-quorum bench-scale peers bench-peers bench-quorum test-clients install uninstall deb dist test-dashboard

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | column -t -s '|'
	echo
	echo "REDIS_SERVER=/path/to/redis-server   another server   (make run, demo, test)"
	echo "PORT=6380                            another port     (make run, cli)"
	echo "DATA=/path                           another folder for its files  (make run)"
	echo "SEEDS=, STEPS=, FROM=, SEED=         how many seeds, how long, from which; one only  (make simulate)"

setup: ## Install what is missing (Debian, Ubuntu), or say what is
	@.ci/setup

build: setup ## Build the module: target/release/libredis_lock.so
	@cargo build --release --locked

run: build ## Start a server with the module, on PORT (default 6379)
	@if (exec 3<>/dev/tcp/127.0.0.1/$(PORT)) 2>/dev/null; then
	  echo "Port $(PORT) is taken. Choose another one:  make run PORT=$$(( $(PORT) + 1 ))" >&2
	  exit 1
	fi
	mkdir -p "$(DATA)"
	# A copy, with the full path of the module: the server may rewrite its file.
	sed 's|^loadmodule .*|loadmodule "$(CURDIR)/$(MODULE)"|' redis.conf > "$(DATA)/redis.conf"
	at=$$([ $(PORT) = 6379 ] || echo "-p $(PORT) ")
	echo
	echo "redis-server with redis-lock listens on 127.0.0.1:$(PORT). In another window, type:"
	echo
	echo "    redis-cli $${at}LOCK.ACQUIRE seat:42 alice 30000"
	echo
	echo "Ctrl-C ends it. Its files are in $(DATA)."
	echo
	cd "$(DATA)"
	exec "$$REDIS_SERVER" redis.conf --port $(PORT)

# As elsewhere: PREFIX says where it belongs, DESTDIR in front of it where it is put.
PREFIX ?= /usr/local
MODULES := $(PREFIX)/lib/redis/modules
SHARE := $(PREFIX)/share/redis-lock
MONITORING := $(wildcard packaging/monitoring/*)
DROPINS := $(foreach unit,redis-server valkey-server,$(PREFIX)/lib/systemd/system/$(unit).service.d)

install: ## Install the module in PREFIX (/usr/local), after `make build`
	@if [ ! -e $(MODULE) ]; then
	  echo "There is no $(MODULE) yet. First, as yourself:  make build" >&2
	  exit 1
	fi
	# A new file under the old name: a server that has mapped the old one keeps it.
	install -D -m 755 $(MODULE) "$(DESTDIR)$(MODULES)/libredis_lock.so.new"
	mv "$(DESTDIR)$(MODULES)/libredis_lock.so.new" "$(DESTDIR)$(MODULES)/libredis_lock.so"
	install -d "$(DESTDIR)$(SHARE)/monitoring"
	install -m 644 $(MONITORING) "$(DESTDIR)$(SHARE)/monitoring"
	packaging/lines "$(MODULES)" > "$(DESTDIR)$(SHARE)/redis-lock.conf"
	for folder in $(DROPINS); do
	  install -d "$(DESTDIR)$$folder"
	  sed 's|@MODULES@|$(MODULES)|' packaging/redis-lock.service.conf \
	    > "$(DESTDIR)$$folder/redis-lock.conf"
	done
	echo "Installed. Add this line to redis.conf, then restart the server (replicas first):"
	echo
	echo "    loadmodule $(MODULES)/libredis_lock.so"
	echo
	echo "Settings: $(SHARE)/redis-lock.conf. More: docs/INSTALL.md"

uninstall: ## Remove what `make install` has put there
	@rm -f "$(DESTDIR)$(MODULES)/libredis_lock.so" "$(DESTDIR)$(SHARE)/redis-lock.conf" \
	  $(foreach folder,$(DROPINS),"$(DESTDIR)$(folder)/redis-lock.conf") \
	  $(foreach file,$(MONITORING),"$(DESTDIR)$(SHARE)/monitoring/$(notdir $(file))")
	for folder in $(SHARE)/monitoring $(SHARE) $(DROPINS); do
	  [ ! -d "$(DESTDIR)$$folder" ] || rmdir --ignore-fail-on-non-empty "$(DESTDIR)$$folder"
	done
	echo "Removed. A redis.conf with the line \`loadmodule $(MODULES)/libredis_lock.so\` does not start any more."

deb: build ## Build target/debian/redis-lock_*.deb (fetches cargo-deb into target/tools)
	@.ci/deb

dist: deb ## The module, the package and their checksums, in target/dist
	@rm -rf target/dist
	mkdir target/dist
	cp $(MODULE) target/debian/redis-lock_*.deb target/dist
	cd target/dist
	sha256sum * > SHA256SUMS
	cat SHA256SUMS

cli: ## Talk to the server that `make run` started
	@redis-cli -p $(PORT)

demo: build ## Hand out 10,000 coupons to 64 clients, with the lock and without
	@cargo build --release --locked --example coupons
	.ci/with-server $(MODULE) target/release/examples/coupons

test: setup ## Run everything that proves the project
	@cargo test --locked -p redis-lock -p redis-lock-client

test-clients: build ## Run the examples of all clients whose toolchains are there (CLIENT=go)
	@.ci/clients $(MODULE) $(CLIENT)

test-dashboard: setup ## Scrape the dashboard and the alerts for real (fetches Prometheus; Debian)
	@.ci/monitoring
	cargo test --locked --test monitoring

test-the-tests: setup ## Put known bugs in, one by one: a test must catch each (some minutes; BUG=name)
	@tests/seeded_bugs/run $(BUG)

fuzz: ## Fuzz records, words and histories, SECONDS=60 each
	@.ci/setup g++
	.ci/fuzz $(or $(SECONDS),60)

test-corruption: setup ## RESTORE of corrupt payloads on a live server: SEED=7 PAYLOADS=100000
	@PAYLOADS="$(PAYLOADS)" cargo test --locked --test corruption -- --nocapture

# One seed, told in full; or how many, how long each, and from which on.
export SEED SEEDS STEPS FROM

simulate: setup ## Simulate whole deployments: SEEDS=10000 STEPS=1000, or one: SEED=7
	@cargo test -q --release --locked --test simulation -- --nocapture

# How many steps where it cannot be all of them, and another size of the world.
model-quorum: export MODEL_STEPS := $(or $(STEPS),20000000)
model-quorum: setup ## Walk through the protocol of a quorum: STEPS=20000000 where that is not all
	@cargo test -q --release --locked -p redis-lock-client --test model -- --nocapture --test-threads=1

# The tests that start a server, and which of them `make test-matrix` runs.
TESTS ?= commands corruption together guard waiting leases durability replication cluster race

# Empty: what a short run takes.
export SEED TRIALS MINUTES

test-faults: setup ## Faults on real servers (CAMPAIGN= SEED= TRIALS= or MINUTES= each)
	@cargo test --release --locked --test faults -- --nocapture --test-threads=1 $(CAMPAIGN)

faults-record: ## Add the release runs of test-faults to tests/faults/RECORD.md
	@RECORD=add cargo test -q --locked --test faults -- record::

servers: ## Fetch newer servers into target/servers (Debian)
	@.ci/servers

test-matrix: setup servers ## Run the server tests (TESTS="waiting ...") on every server there is
	@.ci/matrix $(TESTS)

test-valgrind: ## Run the server tests (TESTS="waiting guard/limits ...") under valgrind (long)
	@.ci/setup valgrind
	.ci/valgrind $(TESTS)

# The life of a client that waits, input that is forged, GUARD, saving and loading.
SHORT := waiting/vanishing:: waiting/pipelines:: waiting/session:: commands/bad_dumps:: \
  commands/effects:: guard/calls:: guard/limits:: durability/rdb::

test-valgrind-short: ## A part of it, in minutes
	@$(MAKE) --no-print-directory test-valgrind TESTS="$(SHORT)"

bench: ## Everything beside what people use instead, into benches/RESULTS.md (an hour)
	@for part in throughput peers quorum scale contention instructions; do
	  $(MAKE) --no-print-directory bench-$$part
	done
	.ci/results

bench-throughput: build ## Each command beside what people use instead, on every server there is (15 min)
	@cargo build --release --locked -p redis-lock-bench
	target/release/throughput --module $(MODULE) $(ARGS)

bench-contention: build ## Many clients, one lock: ours beside lists, pub/sub and back-off (10 min)
	@cargo build --release --locked -p redis-lock-bench
	.ci/with-server $(MODULE) target/release/contention $(ARGS)

bench-instructions: build ## Count the instructions of each command, under callgrind (2 min)
	@.ci/setup valgrind
	cargo build --release --locked -p redis-lock-bench
	target/release/instructions --module $(MODULE) $(ARGS)

bench-scale: build ## One to ten million locks: speed, memory, files, stalls (20 min; ARGS="--only memory")
	@cargo build --release --locked -p redis-lock-bench
	target/release/scale $(MODULE) --servers "$$REDIS_SERVER,target/servers/redis-8,target/servers/valkey-9" --more 10000000 $(ARGS)

peers: ## Fetch etcd and ZooKeeper into target/peers (Debian)
	@.ci/peers

bench-peers: build peers ## Acquire and release beside etcd and ZooKeeper, AOF everysec and always (5 min)
	@cargo build --release --locked --manifest-path benches/peers/Cargo.toml
	target/release/redis-lock-peers $(MODULE) --server "$$REDIS_SERVER" $(ARGS)

bench-quorum: build ## One lock over several servers, beside rslock and redsync (5 min; ARGS="--rounds 1")
	@if command -v go >/dev/null; then
	  (cd benches/quorum/redsync && go build -o "$(CURDIR)/target/redsync-bench" .)
	else
	  echo "Go is missing: redsync is left out."
	  rm -f target/redsync-bench
	fi
	cargo build --release --locked --manifest-path benches/quorum/Cargo.toml
	target/release/redis-lock-quorum --module $(MODULE) --server "$$REDIS_SERVER" $(ARGS)

verify: fmt-check lint test doc test-the-tests ## What CI runs, but for the clients; writes nothing but target/

fmt-check: ## Check the format
	@cargo fmt --all --check

lint: setup ## Clippy, warnings are errors
	@cargo clippy --locked --workspace --all-targets -- -D warnings

doc: setup ## Build the documentation, warnings are errors
	@RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

fix: ## Format, and mend what clippy can
	@cargo fmt --all
	cargo clippy --fix --allow-dirty --allow-staged --workspace --all-targets

clean: ## Remove everything that was built
	@cargo clean
