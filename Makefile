# `make test` sets up what the tests need beside cargo, and runs everything that CI runs.

PYTHON ?= python3

.PHONY: test lint bless bench python go-readers openvswitch

test: lint python go-readers openvswitch
	cargo test --locked --all-features --no-fail-fast

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --all-features --quiet

# Writes what the golden cases expect anew; read the difference before it is committed.
bless:
	DPU_RENDER_BLESS=1 cargo test --locked --test it -- golden steps

# The numbers to reach, beside the peers; Go builds two of these.
bench:
	cargo build --release --locked --bins --examples
	cargo run --release --locked --example bench

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

# The switch that the agent is tested on; the tests start its daemons themselves, without privileges.
openvswitch:
	@command -v ovs-vswitchd >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -y -qq --no-install-recommends openvswitch-switch; } \
		|| { echo "Open vSwitch is missing: run apt-get install --no-install-recommends openvswitch-switch as root" >&2; exit 1; }
