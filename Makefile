# `make test` sets up what the tests need beside cargo, and runs everything that CI runs.

PYTHON ?= python3

.PHONY: test lint bless bench e2e fuzz image python go-readers kustomize debian

test: lint python go-readers kustomize debian
	cargo test --locked --all-features --no-fail-fast

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --all-features --quiet

# Writes what the golden cases expect anew; read the difference before it is committed.
bless:
	DPU_RENDER_BLESS=1 cargo test --locked --test it -- argocd diff::every golden steps

# The real Argo CD and API servers. They are built once (tests/e2e/stack), run without a network, and end with the tests.
# One test: make e2e TEST=its_name.
e2e: target/dyff
	tests/e2e/packages.sh
	cargo test --locked --all-features --test e2e --no-run
	bin=$${DPU_E2E_BIN:-$$(tests/e2e/stack/ready.sh)} && DPU_E2E_BIN=$$bin tests/e2e/lab.sh \
		cargo test --locked --offline --all-features --test e2e -- --include-ignored $(TEST)

# A second opinion on what differs.
target/dyff: tests/e2e/tools/build.sh tests/e2e/tools/go.mod tests/e2e/tools/go.sum
	tests/e2e/tools/build.sh target

# The images of the plugin for Argo CD and of the agent, built and run; as root.
image: debian
	plugin/image.sh
	src/agent/image/image.sh

# The numbers to reach, beside the peers; Go builds two of these.
bench:
	cargo build --release --locked --features agent --bins --examples
	cargo run --release --locked --features agent --example bench

# Hostile bytes for what reads a switch and a database, each so many seconds; not a part of the tests. With the nightly compiler.
FUZZ_SECONDS ?= 60

fuzz: fuzz-openflow fuzz-ovsdb

fuzz-%:
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: run cargo install cargo-fuzz, and rustup toolchain install nightly" >&2; exit 1; }
	mkdir -p fuzz/corpus/$*
	cargo +nightly fuzz run $* fuzz/corpus/$* fuzz/seeds/$* -- -max_total_time=$(FUZZ_SECONDS) -max_len=16384 \
		-rss_limit_mb=1024 -timeout=10 -dict=fuzz/dictionaries/$*.txt

# Readers of YAML in Python.
python: target/python/.done

target/python/.done: tests/requirements.txt
	$(PYTHON) -m venv target/python
	target/python/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# Readers of YAML of kubectl, kustomize and Helm.
go-readers: target/readers-go

target/readers-go: tests/readers-go/main.go tests/readers-go/go.mod tests/readers-go/go.sum
	@command -v go >/dev/null || { echo "go is missing: install Go 1.26 or later and run make go-readers" >&2; exit 1; }
	cd tests/readers-go && CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false' go build -o ../../$@ .

# kustomize, and Argo CD's own manifests to put the plugin into.
KUSTOMIZE := 5.7.1
ARGOCD := $(shell sed -n 's,.*github.com/argoproj/argo-cd/v3 \(v[0-9.]*\).*,\1,p' tests/e2e/stack/go.mod)

kustomize: target/kustomize target/argo-cd-$(ARGOCD).yaml

target/kustomize:
	@command -v go >/dev/null || { echo "go is missing: install Go 1.26 or later and run make kustomize" >&2; exit 1; }
	GOBIN=$(CURDIR)/target CGO_ENABLED=0 GOFLAGS=-trimpath go install sigs.k8s.io/kustomize/kustomize/v5@v$(KUSTOMIZE)

target/argo-cd-$(ARGOCD).yaml:
	@command -v go >/dev/null || { echo "go is missing: install Go 1.26 or later and run make kustomize" >&2; exit 1; }
	mkdir -p target
	cp "$$(go mod download -json github.com/argoproj/argo-cd/v3@$(ARGOCD) | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p')/manifests/core-install.yaml" $@.new
	chmod u+w $@.new && mv $@.new $@

# The switch that the agent is tested on, whose daemons the tests start themselves; the hosts that send packets through it (as
# root only); what reads JSON in the recipes of plugin/ci; and what lies about the time of day.
DEBIAN_PACKAGES := openvswitch-switch util-linux iproute2 iputils-ping ethtool python3 jq faketime

debian:
	@for program in ovs-vswitchd setpriv nsenter ip ping ethtool python3 jq faketime; do \
		PATH=$$PATH:/usr/sbin command -v $$program >/dev/null || missing="$$missing $$program"; \
	done; \
	[ -z "$$missing" ] || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
		&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DEBIAN_PACKAGES); } \
		|| { echo "missing:$$missing; run apt-get install --no-install-recommends $(DEBIAN_PACKAGES) as root" >&2; exit 1; }
