#!/usr/bin/env bash
# packages.sh: installs the programs of Debian that the end-to-end tests run, where they are missing.
set -euo pipefail
missing=()
while read -r program package; do
  PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || missing+=("$package")
done <<'PROGRAMS'
redis-server redis-server
openssl openssl
ip iproute2
git git
curl curl
unshare util-linux
ps procps
ovs-vswitchd openvswitch-switch
PROGRAMS
[ ${#missing[@]} = 0 ] && exit 0

echo "$(date +%T) installing ${missing[*]}" >&2
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
install() {
  command -v apt-get >/dev/null && { [ -z "$sudo" ] || command -v sudo >/dev/null; } &&
    $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qq -y --no-install-recommends "${missing[@]}"
}
install >/dev/null || { echo "make e2e needs ${missing[*]}: apt-get install ${missing[*]}" >&2; exit 1; }
