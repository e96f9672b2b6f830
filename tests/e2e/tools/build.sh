#!/usr/bin/env bash
# build.sh DIR: builds dyff, the second opinion on `dpu-render diff`, into DIR.
set -euo pipefail
command -v go >/dev/null || { echo "go is missing: install Go 1.26 or later and run make e2e" >&2; exit 1; }
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")"
export CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false' GOTOOLCHAIN=go1.26.8+auto GOWORK=off
go build -ldflags '-s -w -X github.com/homeport/dyff/internal/cmd.version=1.12.0' -o "$out/dyff" github.com/homeport/dyff/cmd/dyff
