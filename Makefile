# What the tests need beside cargo.

PYTHON ?= python3

.PHONY: bless python go-readers

# Writes what the golden cases expect anew; the diff is read before it is committed.
bless:
	DPU_RENDER_BLESS=1 cargo test --quiet --test it -- golden::each_case golden::each_invalid

# Readers of YAML for tests/it/readers.py.
python: target/python/.done

target/python/.done: tests/requirements.txt
	$(PYTHON) -m venv target/python
	target/python/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# Readers of YAML of kubectl, kustomize and Helm.
go-readers: target/readers-go

target/readers-go: tests/readers-go/main.go tests/readers-go/go.mod tests/readers-go/go.sum
	@command -v go >/dev/null || { echo "go is missing: install it (package golang-go, or a later one) and run make go-readers" >&2; exit 1; }
	cd tests/readers-go && CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false' go build -o ../../$@ .
