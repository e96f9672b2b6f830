#!/usr/bin/env bash
# build.sh DIR: builds etcd, the Kubernetes and the Argo CD programs of the end-to-end tests, and Argo CD's CRDs, into DIR.
set -euo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")"
go_version=go1.26.8 kubernetes=1.34.4 argocd=3.2.11
export CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false' GOTOOLCHAIN="$go_version+auto" GOWORK=off

# The servers report these versions: Argo CD and Helm take the API server's for the cluster's.
version=k8s.io/component-base/version
k8s="-s -w -X $version.gitVersion=v$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${kubernetes#1.}"
k8s="${k8s%.*} -X $version.gitTreeState=clean"
common=github.com/argoproj/argo-cd/v3/common
argo="-s -w -X $common.version=$argocd -X $common.gitTag=v$argocd -X $common.gitTreeState=clean -X $common.gitCommit=0000000"

build() { # PROGRAM FLAGS PACKAGE
  echo "$(date +%T) $1"
  go build -ldflags "$2" -o "$out/$1" "$3"
}
go mod download
build etcd                    '-s -w' go.etcd.io/etcd/server/v3
build kube-apiserver          "$k8s"  k8s.io/kubernetes/cmd/kube-apiserver
build kube-controller-manager "$k8s"  k8s.io/kubernetes/cmd/kube-controller-manager
build kubectl                 "$k8s"  k8s.io/kubernetes/cmd/kubectl
build argocd                  "$argo" github.com/argoproj/argo-cd/v3/cmd

mkdir -p "$out/argocd-crds"
crds=$(go list -m -f '{{.Dir}}' github.com/argoproj/argo-cd/v3)/manifests/crds
for crd in application appproject applicationset; do
  install -m 644 "$crds/$crd-crd.yaml" "$out/argocd-crds/"
done
