# container.sh: what the scripts of both images share; to be sourced in the repository's folder.
set -euo pipefail

fail() { echo "make image: $*" >&2; exit 1; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)

# static_program NAME [ARGUMENT…]: builds it for this machine, or for $TARGET, and prints where it is.
static_program() {
  local name=$1 target=${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
  shift
  # With a target of its own, the flag does not reach the macros that run in the compiler.
  RUSTFLAGS="-C target-feature=+crt-static" CARGO_PROFILE_RELEASE_STRIP=symbols \
    cargo build --release --locked --quiet --target "$target" --bin "$name" "$@" >&2
  echo "${CARGO_TARGET_DIR:-target}/$target/release/$name"
}

# as_root SCRIPT PROGRAM: goes on as root, in the place of this process.
as_root() {
  [ "$(id -u)" != 0 ] || return 0
  command -v sudo >/dev/null || fail "run it as root: it mounts what it builds"
  exec sudo "IMAGE=$image" "$PWD/$1" "$2"
}

need_buildah() {
  if ! command -v buildah >/dev/null; then
    command -v apt-get >/dev/null || fail "buildah is missing: install it"
    { apt-get update -q && apt-get install -q -y --no-install-recommends buildah; } >/dev/null ||
      fail "buildah is missing: apt-get install buildah"
  fi
  # Without a container runtime, and where the kernel has no overlay on overlay.
  export BUILDAH_ISOLATION=chroot
  buildah info >/dev/null 2>&1 || export STORAGE_DRIVER=vfs
}
