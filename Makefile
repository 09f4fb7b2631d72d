# memring: what can be done here. `make` alone says so.
#
# Go is all that build, run, test, check and bench need. interop installs Debian packages, so it wants root (or sudo) and Debian.

gofumpt     := go run mvdan.cc/gofumpt@v0.12.0
staticcheck := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2

# The race detector needs a C compiler; without one the tests run without it, and say so.
race := $(shell test "$$(go env CGO_ENABLED)" = 1 && echo -race)

version  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
packages := memcached libmemcached-tools python3-pymemcache python3-pylibmc php-cli php-memcached ruby ruby-dalli \
            libcache-memcached-fast-perl libyaml-perl libanyevent-perl libterm-readkey-perl openssl prometheus chromium

FUZZTIME ?= 5s
BENCH    ?= .
SHORT    ?=

# What memring is compared with: a name in PATH, or a path. FLAGS are more flags for the comparison: FLAGS='-m 64 -only zipf'.
MEMCACHED ?= memcached
FLAGS     ?=
compare   := go run ./benchmarks/compare

# tagged gives the packages with tests that ask for a build tag.
tagged = $(shell grep -rlE --include='*_test.go' '^//go:build .*\b$(1)\b' cmd node protocol | xargs -r -n1 dirname | sort -u | sed 's,^,./,')

SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help run build test fetch check interop chaos upgrade bench bench-go bench-hitratio bench-measuring bench-scale bench-cluster bench-fill bench-warm soak fuzz fmt

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## start three nodes on this machine, say how to talk to them, stop them on Ctrl-C
	@.make/run

build: ## build the one static binary, bin/memring
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.build=$(version)' -o bin/memring ./cmd/memring

test: ## run all tests, with the race detector where there is a C compiler
	@test -n "$(race)" || echo 'no C compiler: the race detector is off'
	go test $(race) -timeout 12m ./...

fetch: ## fetch what check needs from the network, again when that fails for a moment
	@.make/again go list -deps -test -tags interop,chaos ./... >/dev/null
	@.make/again $(gofumpt) -version >/dev/null
	@.make/again $(staticcheck) -version >/dev/null

check: fetch ## formatting, vet, staticcheck, the layout, no allocations, go.mod, every benchmark once, every fuzz target for FUZZTIME (5s)
	@echo gofumpt -l .; out=$$($(gofumpt) -l .) && test -z "$$out" || { echo "$$out"; echo 'not formatted: make fmt'; exit 1; }
	go vet ./...
	go vet -tags interop,chaos ./...
	$(staticcheck) ./...
	$(staticcheck) -tags interop,chaos ./...
	go test -count=1 ./cmd
	go test -count=1 -run Alloc ./...
	go mod verify
	.make/again go mod tidy -diff
	go test -run '^$$' -bench . -benchtime 1x ./...
	@.make/fuzz $(FUZZTIME)

interop: ## talk to one real node, and to three, with other people's clients (Debian: installs what is missing)
	@.make/install $(packages)
	@command -v npm >/dev/null || .make/install nodejs npm
	@set -o pipefail; echo go test -tags interop -run Interop $(call tagged,interop); \
	go test -tags interop -count=1 -timeout 12m -v -run Interop $(call tagged,interop) | grep -v '^=== '

chaos: ## hurt running clusters and see what they promise still hold, an hour; SHORT=-short for less of it (as root: network namespaces)
	@test -n "$(call tagged,chaos)" || echo 'there are no chaos tests yet'
	@test -z "$(call tagged,chaos)" || (set -x; go test -p 1 -tags chaos -count=1 -timeout 60m -v $(SHORT) -run Chaos $(call tagged,chaos))
	go test $(race) -tags chaos -count=1 -timeout 50m -v $(SHORT) -run Chaos ./storage

upgrade: ## upgrade three nodes under load, one after another, FROM=a tag or commit (else from this code) to this code
	.make/upgrade $(FROM)

bench: build ## the CPU of a request beside MEMCACHED (memcached), against the bars: some five minutes; FLAGS for less of it
	$(compare) speed -memcached $(MEMCACHED) $(FLAGS)

bench-go: ## the Go benchmarks of the hot files, BENCH=regexp for some
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

bench-hitratio: build ## who misses less, memring or MEMCACHED (memcached), on recorded and generated traces: about an hour; FLAGS for less of it
	$(compare) hitratio -memcached $(MEMCACHED) $(FLAGS)

bench-measuring: ## what metrics and hot keys cost of a request's CPU
	.make/bare
	.make/cost
	$(compare) measuring $(FLAGS)

bench-scale: build ## few connections and many, up to 10,000, beside MEMCACHED: two minutes
	$(compare) scale -memcached $(MEMCACHED) $(FLAGS)

bench-cluster: build ## the CPU of a request in clusters of 1, 3 and 10 nodes, and of one that is forwarded
	$(compare) cluster $(FLAGS)

bench-fill: build ## how many items memring and MEMCACHED hold, in how much memory
	$(compare) fill -memcached $(MEMCACHED) $(FLAGS)

bench-warm: build ## the hit ratio while nodes join, leave, restart and die, beside MEMCACHEDs behind ketama: three minutes; FLAGS for less of it
	$(compare) warm -memcached $(MEMCACHED) $(FLAGS)

soak: build ## half an hour of all commands while nodes join and leave: what grows? FLAGS='-for 2h' for more
	$(compare) soak $(FLAGS)

fuzz: ## every fuzz target for FUZZTIME (5s)
	@.make/fuzz $(FUZZTIME)

fmt: ## format the code
	$(gofumpt) -w .
