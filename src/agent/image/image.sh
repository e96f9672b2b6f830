#!/usr/bin/env bash
# Builds the agent's image with buildah out of nothing but this checkout, and runs it as the DaemonSet does, root without a single
# capability, on a switch of its own: objects in, flows and status out. Pulls nothing; the image lands in root's buildah storage.
# `make image` calls it. With TARGET=aarch64-unknown-linux-gnu, or with a program for that, it is the image of a card; that is run
# where the machine is of its kind.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. plugin/container.sh

image=${IMAGE:-localhost/dpu-agent:$version}
program=${1-}
[ -n "$program" ] || program=$(static_program dpu-agent --features agent)
case $(od -An -tx1 -j18 -N1 "$program" | tr -d ' ') in
  3e) platform=linux/amd64 machine=x86_64 ;;
  b7) platform=linux/arm64 machine=aarch64 ;;
  *) fail "$program is for no machine of ours" ;;
esac
# Whoever loads it would be a program of the image.
! LC_ALL=C grep -aq "/ld-linux" "$program" || fail "$program is not static"
as_root src/agent/image/image.sh "$program"
need_buildah

work=$(mktemp -d)
container=
daemons=()

# A name that no other run has, to find the agent's process by.
node=card$$
# Its process, as this machine sees it, and not buildah around it.
agent() { pgrep --full "^/usr/local/bin/dpu-agent run --node $node"; }

clean() {
  ! agent >/dev/null || kill "$(agent)"
  [ ${#daemons[@]} = 0 ] || kill "${daemons[@]}" 2>/dev/null || true
  wait
  [ -z "$container" ] || buildah rm "$container" >/dev/null
  rm -rf "$work"
}
trap clean EXIT

mkdir "$work"/{context,run,objects,status}
install -m 755 "$program" "$work/context/dpu-agent"
buildah build --quiet --timestamp 0 --platform "$platform" --file src/agent/image/Containerfile --tag "$image" "$work/context" >/dev/null
size=$(stat -c %s "$program")
told="$image: $((size / 1024)) KiB, static, $platform"
push="push it: buildah push $image docker://REGISTRY/dpu-agent:$version"
if [ "$(uname -m)" != "$machine" ]; then
  echo "$told; not run, as this machine is $(uname -m)"
  echo "$push"
  exit
fi

container=$(buildah from --quiet "$image")
# What Kubernetes reads out of the image.
config=$(buildah inspect --format '{{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}} {{.OCIv1.Config.User}}' "$container")
[ "$config" = "[/usr/local/bin/dpu-agent] [run] 0:0" ] || fail "the image is made to run $config"
inside() {
  buildah run --cap-drop ALL --volume "$work/run:/var/run/openvswitch" --volume "$work/objects:/objects:ro" \
    --volume "$work/status:/status" "$@"
}
said=$(inside "$container" -- /usr/local/bin/dpu-agent --version)
[ "$said" = "dpu-agent $version" ] || fail "the image says $said, Cargo.toml says $version"

# A switch of made-up ports, as unprivileged as it can be.
for program in ovsdb-tool ovsdb-server ovs-vswitchd ovs-vsctl ovs-ofctl jq openssl pgrep; do
  command -v "$program" >/dev/null || fail "$program is missing: apt-get install --no-install-recommends openvswitch-switch jq openssl procps"
done
export OVS_RUNDIR=$work/run OVS_LOGDIR=$work OVS_DBDIR=$work
ovsdb-tool create "$work/conf.db" /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server "$work/conf.db" --remote="punix:$work/run/db.sock" --unixctl="$work/s.ctl" >"$work/s.said" 2>&1 &
daemons+=($!)

# `until_is WORDS COMMAND…`: waits until the command says so.
until_is() {
  local wanted=$1 said= deadline=$((SECONDS + 20))
  shift
  until said=$("$@" 2>&1) && [ "$said" = "$wanted" ]; do
    [ $SECONDS -lt $deadline ] || fail "$*: $said, and not $wanted; $(tail -n 5 "$work/agent.said" 2>/dev/null)"
    sleep 0.1
  done
}
vsctl() { ovs-vsctl --timeout=5 --db="unix:$work/run/db.sock" "$@"; }
until_is "" vsctl --no-wait init
ovs-vswitchd "unix:$work/run/db.sock" --enable-dummy=override --disable-system --unixctl="$work/v.ctl" >"$work/v.said" 2>&1 &
daemons+=($!)
vsctl add-br br-sfc -- set bridge br-sfc datapath_type=dummy fail_mode=secure

cat >"$work/objects/objects.yaml" <<OBJECTS
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: ServiceInterface
metadata: {name: p0, namespace: ns, labels: {port: p0}}
spec: {node: $node, interfaceType: physical, physical: {interfaceName: p0}}
---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: ServiceInterface
metadata: {name: vf1, namespace: ns, labels: {port: vf1}}
spec: {node: $node, interfaceType: vf, vf: {pfID: 0, vfID: 1}}
---
apiVersion: svc.dpu.nvidia.com/v1alpha1
kind: ServiceChain
metadata: {name: c, namespace: ns}
spec:
  node: $node
  switches:
    - ports:
        - {serviceInterface: {matchLabels: {port: p0}}}
        - {serviceInterface: {matchLabels: {port: vf1}}}
OBJECTS
# `start ARGUMENT…`: the agent at work, beside this script.
start() {
  inside "$@" "$container" -- /usr/local/bin/dpu-agent run --node "$node" >"$work/agent.said" 2>&1 &
  daemons+=($!)
}
end() { kill "$(agent)"; wait "${daemons[-1]}"; }

start --env DPU_AGENT_PORT_TYPE=dummy --env DPU_AGENT_FROM=/objects --env DPU_AGENT_STATUS=/status
flows() { ovs-ofctl -O OpenFlow14 dump-flows "unix:$work/run/br-sfc.mgmt" | grep -c actions=; }
until_is 2 flows
ready() { jq -r '.status.conditions[] | select(.type == "Ready") | "\(.status) \(.reason)"' "$work/status/node-$node.json"; }
until_is "True Success" ready
rights=$(awk '/^(Uid|CapEff|CapBnd):/ {print $2}' "/proc/$(agent)/status" | tr '\n' ' ')
[ "$rights" = "0 0000000000000000 0000000000000000 " ] || fail "the agent runs as $rights"
end
until_is 2 flows

# Names of hosts are found by what is in the program alone.
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=nobody -keyout "$work/key" -out "$work/objects/ca.crt" 2>/dev/null
cat >"$work/objects/kubeconfig" <<'CONFIG'
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://localhost:1", certificate-authority: /objects/ca.crt}}]
users: [{name: u, user: {}}]
CONFIG
start --env KUBECONFIG=/objects/kubeconfig
refused() { grep -om1 "Connection refused" "$work/agent.said"; }
until_is "Connection refused" refused
end

echo "$told, runs as root without capabilities: objects in, flows and status out"
echo "$push"
