#!/usr/bin/env bash
# Builds the plugin's image with buildah out of nothing but this checkout, and runs it as Argo CD's pod does: uid 999, read-only
# root, no network. Pulls nothing; the image lands in root's buildah storage. `make image` calls it; whoever is not root builds
# the program himself, and sudo does the rest.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "make image: $*" >&2; exit 1; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
image=${IMAGE:-localhost/dpu-render:$version}
program=${1-}
if [ -z "$program" ]; then
  host=$(rustc -vV | sed -n 's/^host: //p')
  # With a target of its own, the flag does not reach the macros that run in the compiler.
  RUSTFLAGS="-C target-feature=+crt-static" CARGO_PROFILE_RELEASE_STRIP=symbols \
    cargo build --release --locked --quiet --target "$host" --bin dpu-render
  program=${CARGO_TARGET_DIR:-target}/$host/release/dpu-render
fi
ldd "$program" 2>&1 | grep -Eq "statically linked|not a dynamic executable" || fail "$program is not static"

if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || fail "run it as root: it mounts what it builds"
  exec sudo "IMAGE=$image" "$PWD/plugin/image.sh" "$program"
fi
if ! command -v buildah >/dev/null; then
  command -v apt-get >/dev/null || fail "buildah is missing: install it"
  { apt-get update -q && apt-get install -q -y --no-install-recommends buildah; } >/dev/null ||
    fail "buildah is missing: apt-get install buildah"
fi
# Without a container runtime, and where the kernel has no overlay on overlay.
export BUILDAH_ISOLATION=chroot
buildah info >/dev/null 2>&1 || export STORAGE_DRIVER=vfs

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
