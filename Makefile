# make demo    sets up, builds, and shows offhook on a simulated bad network: nothing else is needed
# make test    sets up and runs every check and every test, with real peers
CARGO ?= cargo
DEMO  ?= --loss 5 --jitter 40 --delay 60 --seed 1

.PHONY: build demo test check install help
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

build:
	@scripts/setup build
	$(CARGO) build --release --locked

demo: build
	target/release/offhook demo $(DEMO)

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

test:
	@scripts/setup test
	@$(MAKE) --no-print-directory check
	$(CARGO) test --locked --no-fail-fast
	@scripts/not-run

install: build
	$(CARGO) install --locked --path .
