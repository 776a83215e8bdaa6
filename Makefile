# The targets with a "##" are those of "make help".

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

VERSION ?= $(shell scripts/version.sh)
TAGS ?=
# tokyocabinet, the one store that needs C, needs TAGS=tokyocabinet CGO_ENABLED=1.
CGO_ENABLED ?= 0
# The tag leaves out a renderer of Markdown, and its cost at each start.
comma := ,
tags = urfave_cli_no_docs$(if $(TAGS),$(comma)$(TAGS))
TESTFLAGS ?=
FUZZTIME ?= 30s
KILLS ?= 50
SEED ?= 0
FUZZ ?=
BENCH ?= .
COUNT ?= 10
OLD ?=
REF ?= HEAD
BENCHFLAGS ?=
BENCHSTORE ?=
ENGLISH ?=

# Tools are pinned separately from the dependencies of the product.
TOOL := go tool -modfile=scripts/tools.mod

# All of staticcheck's checks, less:
#   ST1022  an error variable's comment says when it comes, not its name again
CHECKS := all,-ST1022

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/gm, one static binary (VERSION=, TAGS=, CGO_ENABLED=)
	CGO_ENABLED=$(CGO_ENABLED) go build -trimpath -buildvcs=false -tags '$(tags)' \
		-ldflags '-s -w -X gm/cmd.version=$(VERSION)' -o bin/gm.linked .
	@# A linker writes its file in small parts. A file written at once is in large
	@# pieces in the system's cache, and starts a fifth faster.
	dd if=bin/gm.linked of=bin/gm.whole bs=67108864 status=none
	@chmod 755 bin/gm.whole && mv bin/gm.whole bin/gm && rm bin/gm.linked

PREFIX ?= /usr/local
BIN ?= gm
DESTDIR ?=

.PHONY: install
install: ## install the program, manual pages and completions (PREFIX=/usr/local, BIN=gm, DESTDIR=)
	@# sudo may not find Go: then it installs the program that was built before.
	@if command -v go >/dev/null; then $(MAKE) --no-print-directory build; fi
	@PREFIX='$(PREFIX)' BIN='$(BIN)' DESTDIR='$(DESTDIR)' bash scripts/install.sh bin/gm

# The SQL functions are C. The program needs none of them.
udf = DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' bash scripts/udf.sh

.PHONY: udf
udf: ## build the SQL functions for PostgreSQL and MySQL/MariaDB into bin/udf (PG_CONFIG=, CC=)
	@$(udf) build

.PHONY: udf-install
udf-install: udf ## install them into the database servers (DESTDIR=, PG_CONFIG=, MARIADB_CONFIG=, MYSQL_CONFIG=, PLUGIN_DIR=)
	@$(udf) install

.PHONY: udf-test
udf-test: udf ## lint the C of the SQL functions, and test it with sanitizers (RUNS=mutations)
	@$(udf) test

.PHONY: test
test: ## run every test, the real peers of other makers included (TESTFLAGS=)
	bash scripts/test-deps.sh
	go test -count=1 $(TESTFLAGS) ./...
	@if echo '#include <tchdb.h>' | $${CC:-cc} -E - >/dev/null 2>&1; then \
		CGO_ENABLED=1 go test -count=1 $(TESTFLAGS) -tags tokyocabinet ./pkg/store/tokyocabinet; \
	else \
		echo 'skip: store tokyocabinet: no libtokyocabinet-dev'; \
	fi

# gopkgs are the packages with Go code: pkg/udf has C, which neither the race detector
# nor GOMAXPROCS reaches.
gopkgs = $$(go list ./pkg/... | grep -v '/pkg/udf$$')

.PHONY: race
race: ## test the packages under the race detector
	go test -count=1 -race -short $(TESTFLAGS) $(gopkgs)

.PHONY: serial
serial: ## test the packages with GOMAXPROCS=1
	go test -count=1 -cpu 1 -short $(TESTFLAGS) $(gopkgs)

.PHONY: law
law: ## test that packages import only the allowed packages
	go test -count=1 -run Law ./cmd/systest

.PHONY: lint
lint: lint-english ## gofumpt, go vet, staticcheck, and the English
	@unformatted=$$($(TOOL) gofumpt -l .); \
	if [[ -n $$unformatted ]]; then \
		printf 'not formatted, make fmt does it:\n%s\n' "$$unformatted" >&2; exit 1; \
	fi
	go vet ./...
	$(TOOL) staticcheck -checks '$(CHECKS)' ./...

.PHONY: lint-english
lint-english: ## compare the phrases that need a second reading with their ceilings (ENGLISH='-v -only pkg/wire')
	go run ./scripts/english $(ENGLISH)

.PHONY: lint-english-update
lint-english-update: ## lower the ceilings to the counts; no ceiling rises
	go run ./scripts/english -update

.PHONY: fmt
fmt: ## format the Go files
	$(TOOL) gofumpt -w .

# CROSS are the systems that are not this one. go vet compiles the tests too.
CROSS ?= linux/386 linux/arm darwin/arm64 freebsd/amd64 windows/amd64

.PHONY: cross
cross: ## compile the program and the tests for other systems (CROSS=)
	@for target in $(CROSS); do \
		echo "cross: $$target"; \
		export CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/}; \
		go vet -tags '$(tags)' ./...; \
	done

# The tests that are quick, and where an int or an address of 32 bits matters.
NARROW ?= ./internal/codec ./pkg/wire ./pkg/server/transport ./pkg/queue ./pkg/batch ./pkg/store ./pkg/store/internal/filestore ./internal/deferred ./pkg/store/disk/boltfile
narrow = CGO_ENABLED=0 GOOS=linux GOARCH=386 go test -count=1 -short -tags '$(tags)' $(TESTFLAGS)

.PHONY: narrow
narrow: ## run quick tests as 32-bit programs (NARROW=packages)
	@if [[ $$(go env GOHOSTOS)/$$(go env GOHOSTARCH) != linux/amd64 ]]; then \
		echo 'skip: narrow: 386 programs need Linux on amd64'; exit 0; \
	fi; \
	$(narrow) $(NARROW) && \
	$(narrow) -run 'KeepReplaces|Call' ./pkg/runner && \
	$(narrow) -run 'Outbox|Numbers' ./pkg/server && \
	$(narrow) -run 'PackKey|PackChanges|PackForged|LogTorn|LogForged|LogHeader' ./pkg/store/disk && \
	$(narrow) -run 'Size|Memory' ./cmd

.PHONY: check
check: lint law udf-test race serial cross narrow ## lint, law, udf-test, race, serial, cross and narrow: the checks of a change besides make test

.PHONY: chaos
chaos: ## kill servers KILLS times under load, and databases, and count the losses (SEED=)
	go test ./cmd/systest -run '^Test(Chaos|Outage)$$' -count=1 -timeout 2h -v -chaos.kills=$(KILLS) -chaos.seed=$(SEED) $(TESTFLAGS) | \
		grep --line-buffered -v '^=== \(RUN\|PAUSE\|CONT\)'

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (FUZZ=part of a name)
	scripts/fuzz.sh '$(FUZZTIME)' '$(FUZZ)'

.PHONY: bench
bench: build ## compare gm with gearmand, beanstalkd and Redis (BENCHFLAGS='-only submit -rounds 3')
	bash scripts/bench-deps.sh
	go build -o bin/bench ./scripts/bench
	bin/bench -gm bin/gm -dir bin -record bin/bench.json $(BENCHFLAGS)

.PHONY: bench-batch
bench-batch: build ## compare gm map with GNU parallel, xargs and the C tool (BENCHFLAGS=)
	bash scripts/bench-deps.sh
	go build -o bin/bench ./scripts/bench
	bin/bench -batch -gm bin/gm -dir bin -record bin/bench-batch.json $(BENCHFLAGS)

.PHONY: bench-sql
bench-sql: ## measure SQL: the relay of an outbox, its triggers, and the SQL functions (BENCHFLAGS='-benchtime 5s')
	go test -run '^$$' -bench . $(BENCHFLAGS) ./pkg/outbox ./pkg/udf

# readme writes the results of a record. Without the record they stay as they are.
readme = @if [ -e $(1) ]; then bin/bench $(2) -record $(1) -readme README.md; else echo "no $(1): its results stay"; fi

.PHONY: bench-readme
bench-readme: ## write the results of the last whole make bench and bench-batch into README and scripts/bench/RESULTS.md
	go build -o bin/bench ./scripts/bench
	$(call readme,bin/bench.json,)
	$(call readme,bin/bench-batch.json,-batch)

.PHONY: bench-compare
bench-compare: ## compare the Go benchmarks of the hot paths with another commit (REF=, COUNT=)
	bash scripts/bench-compare.sh '$(REF)' '$(COUNT)'

.PHONY: bench-go
bench-go: ## run the Go benchmarks into bin/bench.txt (BENCH=regexp, COUNT=, OLD=file to compare with)
	@mkdir -p bin
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(TESTFLAGS) ./pkg/... | tee bin/bench.txt
	$(TOOL) benchstat $(OLD) bin/bench.txt

.PHONY: bench-tune
bench-tune: ## measure the saving of each trick with the Go runtime (GM_TUNE), after a new version of Go
	go test -run '^$$' -bench Tricks -benchtime 1x -timeout 30m ./internal/tune

.PHONY: bench-store
bench-store: build ## durable submissions a second: gm, its engine alone, gearmand with SQLite (BENCHSTORE=flags)
	go build -o bin/benchstore ./scripts/benchstore
	bin/benchstore -gm bin/gm -dir bin $(BENCHSTORE)

.PHONY: bench-memory
bench-memory: ## two million jobs of 1 KiB in 200 MiB: memory, a restart, and the drain
	@mkdir -p bin
	go test ./cmd/systest -count=1 -timeout 30m -run '^TestBacklog$$' -v -backlog-jobs 2000000 -backlog-memory 200MiB \
		-backlog-delay 1m -backlog-dir $(CURDIR)/bin -backlog-max-rss 600 -backlog-max-up 2s

.PHONY: golden
golden: ## rewrite the golden files from the tests' results; read the diff
	go test $$(grep -rlF --include='*_test.go' 'flag.Bool("update"' cmd pkg | xargs -n1 dirname | sort -u | sed 's|^|./|') -update

.PHONY: demo
demo: build ## see it work: a server, workers, and a text scattered over them
	bash scripts/demo.sh bin/gm

.PHONY: man
man: build ## write the manual pages into bin/man
	bin/gm man --dir bin/man

.PHONY: completions
completions: build ## regenerate the completions of bash, zsh, fish and PowerShell
	bin/gm completion bash > completions/gm.bash
	bin/gm completion zsh > completions/_gm
	bin/gm completion fish > completions/gm.fish
	bin/gm completion powershell > completions/gm.ps1

.PHONY: vuln
vuln: ## look for known vulnerabilities (asks vuln.go.dev)
	$(TOOL) govulncheck ./...

.PHONY: clean
clean: ## remove built files
	rm -rf bin
