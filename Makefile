# Salvor: `make help` lists the targets. All of them work on a fresh Debian or
# Ubuntu as root: what they need is installed by scripts/setup.
SHELL   := /bin/bash
BUILD    = $(eval BUILD := $(shell scripts/version))$(BUILD)
LDFLAGS  = -s -w -X salvor/internal/version.build=$(BUILD)
PREFIX  ?= /usr/local
ARCHES  := amd64 arm64
EMBED   := internal/embedded/bin
FUZZFOR ?= 60s
BUDGET  ?=
SINCE   ?=

# the same for building, testing and linting, so that everything is compiled once
export CGO_ENABLED := 0
export GOFLAGS     := $(strip $(shell go env GOFLAGS 2>/dev/null) -trimpath)

.PHONY: help setup build program install release test demo lint generate man fuzz bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: ## install what building, testing and the lab need, and start the Docker engine
	@scripts/setup

build: program man ## bin/salvor with salvord for each architecture inside, bin/salvorlab
	@go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/salvorlab
	@wc -c bin/salvor $(ARCHES:%=$(EMBED)/salvord-linux-%.zst) | awk '$$2 != "total" {printf "%s: %.2f MB\n", $$2, $$1 / 1e6}'

program: $(ARCHES:%=$(EMBED)/salvord-linux-%.zst)
	@go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/salvor

# compiled every time, so that the build hash is the sources'; Go's cache makes it quick
$(EMBED)/salvord-linux-%.zst: FORCE
	@GOOS=linux GOARCH=$* go build -ldflags '$(LDFLAGS)' -o build/$*/salvord ./cmd/salvord
	@go build -o build/$*/pack ./internal/embedded/pack # not go run: /tmp may be mounted noexec
	@build/$*/pack build/$*/salvord $@

install: ## put salvor, its completions and its manual below PREFIX (/usr/local), in DESTDIR
	@if ! test -x bin/salvor -a -n "$$SUDO_USER"; then \
	  echo 'compiling salvor: minutes the first time, then seconds'; $(MAKE) --no-print-directory program man; \
	fi # not as root, whose Go has to compile it all again
	@scripts/install '$(DESTDIR)$(PREFIX)'
	@echo "$(DESTDIR)$(PREFIX)/bin/salvor"
	@test -n '$(DESTDIR)' || case ":$$PATH:" in *':$(PREFIX)/bin:'*) ;; *) echo 'hint: it is not in PATH yet: export PATH="$(PREFIX)/bin:$$PATH" (permanently: docs/install.md)' >&2 ;; esac

release: build man ## archives for Linux and macOS, .deb, SBOMs and SHA256SUMS in build/release; SIGN_KEY=FILE signs
	@LDFLAGS='$(LDFLAGS)' scripts/release

test: setup build ## every test, or with BUDGET=50m those that fit into the time
	@bin/salvorlab test $(if $(BUDGET),--budget $(BUDGET)) $(if $(SINCE),--since $(SINCE))

demo: setup build ## three hosts, six stacks, one killed: watch it come back; KEEP=1 leaves it to you to play with
	@bin/salvorlab demo $(if $(KEEP),--keep)

lint: ## gofmt, go vet, golangci-lint as pinned in tools/, known vulnerabilities where their database answers
	@test -z "$$(gofmt -l cmd internal)" || { gofmt -l cmd internal; exit 1; }
	@cd tools && go build -o ../build/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@build/golangci-lint run ./...
	@scripts/vulncheck

generate: ## CLI reference, JSON schemas, tables of findings and exit codes
	@go generate ./...

man: # the manual pages, build/man/salvor*.1, for install and release
	@rm -rf build/man
	@go build -o build/manpages ./internal/cli/man
	@build/manpages build/man

fuzz: ## each fuzz target for FUZZFOR (60s)
	@scripts/fuzz $(FUZZFOR)

bench: setup build ## the figures in the README, one line each
	@bin/salvorlab bench --json

clean: ## remove what was built
	rm -rf bin build artifacts $(EMBED)/*.zst

.PHONY: FORCE
FORCE:
