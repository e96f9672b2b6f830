#!/usr/bin/env bash
# Builds the plugin's image with buildah out of nothing but this checkout, and runs it as Argo CD's pod does: uid 999, read-only
# root, no network. Pulls nothing; the image lands in root's buildah storage. `make image` calls it; whoever is not root builds
# the program himself, and sudo does the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
. plugin/container.sh

image=${IMAGE:-localhost/dpu-render:$version}
program=${1-}
[ -n "$program" ] || program=$(static_program dpu-render)
ldd "$program" 2>&1 | grep -Eq "statically linked|not a dynamic executable" || fail "$program is not static"
as_root plugin/image.sh "$program"
need_buildah

work=$(mktemp -d)
container=

clean() {
  [ -z "$container" ] || buildah rm "$container" >/dev/null
  rm -rf "$work"
}
trap clean EXIT

mkdir "$work/context" "$work/root"
install -m 755 "$program" "$work/context/dpu-render"
install -m 644 plugin/plugin.yaml "$work/context/plugin.yaml"
buildah build --quiet --timestamp 0 --file plugin/Containerfile --tag "$image" "$work/context" >/dev/null

container=$(buildah from --quiet "$image")
mounted=$(buildah mount "$container")

# `inside FOLDER ARGUMENT…`: the image with this checkout at /tmp, in one of its folders, with what Argo CD sets and nothing else.
# What is mounted goes away with the process.
inside() {
  local folder=$1
  shift
  unshare --mount --net -- bash -euc '
    mounted=$1 root=$2 folder=$3; shift 3
    mount --bind "$mounted" "$root"
    mount --bind "$PWD" "$root/tmp"
    mount -o remount,bind,ro "$root/tmp"
    mount -o remount,bind,ro "$root"
    exec env -i ARGOCD_APP_SOURCE_PATH="$folder" ARGOCD_APP_PARAMETERS="${PARAMETERS-}" "$(command -v unshare)" \
      --root="$root" --wd="/tmp/$folder" --setgid=999 --setuid=999 -- /usr/local/bin/dpu-render "$@" </dev/null
  ' bash "$mounted" "$work/root" "$folder" "$@"
}

said=$(inside . --version)
[ "$said" = "dpu-render $version" ] || fail "the image says $said, Cargo.toml says $version"
for destination in management dpu-cplane-tenant1; do
  PARAMETERS="[{\"name\": \"destination\", \"string\": \"$destination\"}]" inside sites/lab1 plugin generate \
    >"$work/inside" 2>"$work/said" || fail "plugin generate in the image: $(cat "$work/said")"
  "$program" sites/lab1 --destination "$destination" --format json >"$work/outside" 2>"$work/said"
  [ -s "$work/inside" ] || fail "the image prints nothing for $destination"
  cmp "$work/inside" "$work/outside" || fail "the image prints something else for $destination than the program outside"
done
inside sites/lab1 plugin parameters | grep -q '"name":"destination"' || fail "the image announces no parameters"

size=$(stat -c %s "$program")
echo "$image: $((size / 1024)) KiB, static, runs as uid 999 on a read-only root without network"
echo "push it: buildah push $image docker://REGISTRY/dpu-render:$version"
