# `make` or `make help` prints what can be done here. A target that takes long
# says what it does. Third-party programs are built by e2e/tools, once.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --warn-undefined-variables

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 20s
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
ARCHES   ?= amd64,arm64
TESTARGS ?=
VULNDB   ?= https://vuln.go.dev
ARGS     ?=

MODULE   := github.com/multus-ipmgr/multus-ipmgr
PROGRAMS := $(patsubst cmd/%/main.go,%,$(wildcard cmd/*/main.go))
LDFLAGS   = -s -w -X $(MODULE)/version.version=$(VERSION) -X $(MODULE)/version.commit=$(COMMIT)
TOOLS     = go run -C e2e/tools .

##@ Use

.PHONY: help
help: ## Print this page.
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 } \
	  /^#: / { printf "  %-21s %s\n", "", substr($$0, 4) }' $(MAKEFILE_LIST)

.PHONY: demo
demo: go linux ## Show the whole system at work on this machine, in ten seconds, and clean up.
#: In network namespaces; needs nothing but Go, and no root where users may have
#: namespaces. The first time it compiles for some minutes. See docs/lab.md.
	@CGO_ENABLED=0 GOFLAGS=-trimpath $(TOOLS) --into ../../bin --ldflags '$(LDFLAGS)' ./cmd/ipmgr ./e2e/demo
	@exec bin/demo

.PHONY: demo-lab
demo-lab: go lab-machine ## Tell the same story on real kubelets, in a minute, and clean up.
#: Two workers with kernels of their own, without root. Needs Debian's
#: user-mode-linux and runc, which root installs. See docs/lab.md.
	@go build -C e2e/lab -o "$$PWD/bin/demo-lab" ./demo
	@exec bin/demo-lab

##@ Build

.PHONY: build
build: $(PROGRAMS:%=bin/%) ## Leave every program in bin/, static and stripped.

# Go knows what changed: a second build costs a second.
.PHONY: $(PROGRAMS:%=bin/%)
$(PROGRAMS:%=bin/%): bin/%: | go
	@echo "build: $@ $(VERSION)"
	@CGO_ENABLED=0 go build -trimpath $(TAGS) -ldflags '$(LDFLAGS)' -o $@ ./cmd/$*

# Without the tag aws-lambda-go brings net/rpc, which brings templates, for whose
# sake the linker keeps every call of AWS's SDK: 45 MB instead of 12.
TAGS :=
bin/nodegroup: TAGS := -tags lambda.norpc

.PHONY: image
image: go ## Build the container images and judge them, with docker or else buildah.
#: ARCHES= are those to build for (amd64,arm64). Leaves OCI archives and bills
#: of materials in dist/images.
	@go run ./e2e/image --version '$(VERSION)' --commit '$(COMMIT)' --arches '$(ARCHES)' \
	  --epoch "$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}" $(ARGS)

.PHONY: release-snapshot
release-snapshot: go ## Build all that a release publishes into dist/release, and judge it.
#: Archives, images, chart, bills of materials, checksums; the same commit gives
#: the same bytes. ARGS=--images=false leaves out what needs docker or buildah.
	@go run ./e2e/release --version '$(VERSION)' --commit '$(COMMIT)' --arches '$(ARCHES)' \
	  --epoch "$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}" $(ARGS)

.PHONY: lambda
lambda: go ## Build the function for AWS Lambda into dist/lambda, a zip for each of ARCHES.
#: The same commit gives the same bytes. See docs/nodegroups.md.
	@go run ./e2e/release --lambda --version '$(VERSION)' --commit '$(COMMIT)' --arches '$(ARCHES)' \
	  --epoch "$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}" $(ARGS)

.PHONY: generate
generate: go ## Write again what is generated from source.
#: Builds controller-gen and helm where the cache lacks them.
	@echo "generate: go generate in all packages"
	@go generate ./...

.PHONY: clean
clean: ## Remove what make left in the tree; the cache of tool programs stays.
	@rm -rf bin dist
	@echo "clean: the tool programs stay in $${MULTUS_IPMGR_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/multus-ipmgr}"

##@ Prove

.PHONY: test
test: go compiler control-plane ## Run all tests, with the race detector, in random order.
#: TESTARGS= are passed on to go test, such as TESTARGS='-run Inject -v'.
	@echo "test: compiling with the race detector; some minutes on a cold cache"
	@go test -race -shuffle=on -timeout 20m $(TESTARGS) ./...
	@go -C e2e/tools test -shuffle=on ./...
	@go -C e2e/upstream test -shuffle=on ./...
	@go -C e2e/lab test -shuffle=on ./...

.PHONY: chart-test
chart-test: go control-plane ## Render the Helm chart in a matrix of values, install it, judge both.
#: So the manifests of config, by kustomize, and alerts and dashboard, by promtool.
	@suites=$$($(TOOLS) helm-unittest); $$suites --strict charts/multus-ipmgr
	@helm=$$($(TOOLS) helm); kustomize=$$($(TOOLS) kustomize); \
	HELM=$$helm KUSTOMIZE=$$kustomize go test -count=1 -shuffle=on $(TESTARGS) ./e2e/chart/...
	@helm=$$($(TOOLS) helm); promtool=$$($(TOOLS) promtool); \
	HELM=$$helm PROMTOOL=$$promtool go -C e2e/monitoring test -count=1 -shuffle=on $(TESTARGS) ./...

.PHONY: install-test
install-test: go control-plane ## Install, upgrade, renew, kill and uninstall while pods are created.
#: With cert-manager and without. Needs no root and reaches nothing but loopback; 3 to 4 minutes.
	@INSTALL_TEST=1 go test -count=1 -timeout 20m -v $(TESTARGS) ./e2e/install

.PHONY: docs
docs: go ## Check links, commands and examples of the pages, and the workflows.
#: External links are checked for their form only.
	@go test -count=1 $(TESTARGS) ./e2e/docs
	@actionlint=$$($(TOOLS) actionlint); $$actionlint -shellcheck= -pyflakes=; echo "docs: the workflows are well-formed"

.PHONY: lab
lab: go lab-machine ## Play the scenarios on real kubelets in a simulated VPC. See docs/lab.md.
#: Needs Debian's user-mode-linux and runc. TESTARGS='-run Metadata' chooses.
	@go -C e2e/lab test ./...
	@go -C e2e/lab test -tags lab -count=1 -timeout 60m -v $(TESTARGS) ./scenario

.PHONY: fuzz
fuzz: go ## Fuzz every parser of every module for FUZZTIME (20s), and name what fails.
#: ARGS='nad FuzzReview' chooses. A failing input stays in testdata/fuzz.
	@go run ./e2e/fuzz --time '$(FUZZTIME)' $(ARGS)

.PHONY: bench
bench: build ## Measure the figures that the project promises, each beside its bar.
	@go run ./e2e/bench $(ARGS)

.PHONY: lint
lint: go ## Judge the source, with the import rules of the architecture.
	@lint=$$($(TOOLS) golangci-lint); \
	echo "lint: the configuration"; $$lint config verify; \
	echo "lint: the product and its tests; minutes on a cold cache"; $$lint run ./...; \
	echo "lint: e2e/tools"; cd e2e/tools; $$lint run --config ../../.golangci.yml ./...; \
	echo "lint: e2e/monitoring"; cd ../monitoring; $$lint run --config ../../.golangci.yml ./...; \
	echo "lint: e2e/upstream"; cd ../upstream; $$lint run --config ../../.golangci.yml ./...; \
	echo "lint: e2e/lab"; cd ../lab; $$lint run --config ../../.golangci.yml --build-tags lab ./...

.PHONY: verify
verify: go ## Prove that generated files, go.mod, dependencies and house norms are in order.
	@state() { git status --porcelain; git diff HEAD | sha256sum; }; \
	before=$$(state); $(MAKE) generate; \
	if [ "$$before" != "$$(state)" ]; then git status --short; echo "verify: make generate changed files: commit them"; exit 1; fi
	@echo "verify: go.mod and go.sum are tidy"
	@go mod tidy -diff >/dev/null || { echo "verify: run go mod tidy and commit go.mod and go.sum"; exit 1; }
	@go -C e2e/tools mod tidy -diff
	@go -C e2e/monitoring mod tidy -diff
	@go -C e2e/upstream mod tidy -diff >/dev/null || { echo "verify: run go -C e2e/upstream mod tidy and commit its go.mod and go.sum"; exit 1; }
	@go -C e2e/lab mod tidy -diff >/dev/null || { echo "verify: run go -C e2e/lab mod tidy and commit its go.mod and go.sum"; exit 1; }
	@echo "verify: go vet"
	@go vet ./...
	@go -C e2e/tools vet ./...
	@go -C e2e/lab vet -tags lab ./...
	@go -C e2e/monitoring vet ./...
	@go -C e2e/upstream vet ./...
	@echo "verify: what the programs are linked with"
	@$(call without,./cmd/ipmgr,^(k8s\.io|sigs\.k8s\.io)/,ipmgr runs in every pod and must stay small)
	@$(call without,./cmd/nodegroup,^(k8s\.io|sigs\.k8s\.io)/,a function without a cluster runs nodegroup)
	@$(call without,./cmd/webhook,aws-sdk-go|/netlink,the webhook holds no AWS credentials and touches no network)
	@$(call without,./e2e/demo,^(k8s\.io/client-go|sigs\.k8s\.io/controller-runtime)/,a fresh machine compiles make demo first)
	@echo "verify: house norms"
	@go run -C e2e/tools ./norms ../..

.PHONY: vulncheck
vulncheck: go ## Look for known vulnerabilities that the programs can reach (asks vuln.go.dev).
#: VULNDB=file:///DIRECTORY asks a copy instead: data/osv of a checkout of
#: github.com/golang/vulndb.
	@govulncheck=$$($(TOOLS) govulncheck); \
	for module in . e2e/tools e2e/lab; do \
	  echo "vulncheck: $$module"; $$govulncheck -C $$module -db '$(VULNDB)' -tags lab ./...; \
	done

# without PACKAGE,PATTERN,REASON fails if PACKAGE depends on what matches.
define without
found=$$(go list -deps $(1) | grep -E '$(2)' || true); \
if [ -n "$$found" ]; then echo "$(1) depends on:"; echo "$$found"; echo "$(3)"; exit 1; fi
endef

# What other targets need; each says what is missing.

.PHONY: go
go:
	@command -v go >/dev/null || { echo "Go $$(awk '/^go /{print $$2}' go.mod) or newer is needed: https://go.dev/dl/"; exit 1; }
	@go env GOVERSION >/dev/null || { echo "Go $$(awk '/^go /{print $$2}' go.mod) or newer is needed, see the line above: https://go.dev/dl/"; exit 1; }

.PHONY: linux
linux: go
	@[ "$$(go env GOHOSTOS)" = linux ] || { echo "Network namespaces are Linux's: run this there, in a virtual machine for instance."; exit 1; }

.PHONY: lab-machine
lab-machine: go
	@case "$$(go env GOHOSTOS)/$$(go env GOHOSTARCH)" in linux/amd64) ;; \
	*) echo "The lab runs Debian's User-Mode Linux, which is there for Linux on x86-64 only. make test works here as well."; exit 1;; esac

.PHONY: compiler
compiler: go
	@cc=$$(go env CC); command -v $${cc%% *} >/dev/null && exit; \
	if [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then \
	  echo "the race detector needs a C compiler: installing gcc and libc6-dev"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends gcc libc6-dev; \
	else echo "the race detector needs a C compiler ($$cc): sudo apt-get install gcc libc6-dev"; exit 1; fi

CONTROL_PLANE := etcd kube-apiserver
test: CONTROL_PLANE += kube-controller-manager kube-scheduler
install-test: CONTROL_PLANE += kube-controller-manager kube-scheduler helm kubectl cert-manager-controller cert-manager-cainjector

.PHONY: control-plane
control-plane: go
	@echo "tools: $(CONTROL_PLANE)"
	@$(TOOLS) $(CONTROL_PLANE) >/dev/null
