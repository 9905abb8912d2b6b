# make demo    sets up, builds, and shows offhook on a simulated bad network: nothing else is needed
# make test    sets up and runs every check and every test, with real peers
# make bench   how fast messages are read, beside rsip and among many transactions, and packets encrypted
# make fuzz    gives each reader of bytes what a fuzzer invents, for ten minutes each (needs cargo-fuzz)
CARGO ?= cargo
DEMO  ?= --loss 5 --jitter 40 --delay 60 --seed 1
FUZZ  ?= message framing uri headers challenge sdp dtls stun media
FUZZ_SECONDS ?= 600

.PHONY: build demo test bench fuzz check install help
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
	$(CARGO) check --locked
	$(CARGO) clippy --locked --all-features --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

test:
	@scripts/setup test
	@$(MAKE) --no-print-directory check
	$(CARGO) test --locked --all-features --no-fail-fast
	@scripts/not-run

bench:
	$(CARGO) bench --locked --bench message --bench transactions --bench srtp

# RUSTC_BOOTSTRAP: the stable compiler counts coverage as well.
fuzz:
	for target in $(FUZZ); do \
		mkdir -p tests/fuzz/corpus/$$target; \
		RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --fuzz-dir tests/fuzz --sanitizer none $$target tests/fuzz/corpus/$$target \
			tests/fuzz/seeds/$$target tests/data/rfc4475 tests/data/rfc5118 \
			-- -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 || exit 1; \
	done

install: build
	$(CARGO) install --locked --path .
