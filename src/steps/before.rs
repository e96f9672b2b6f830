//! Tools, networks and storage that must be there, and the labels of control plane nodes. PURE.

use super::Step;
use super::objects::{Chart, PROVISIONING, applications, before_argo_cd, list, of_kind, out, ovn};
use super::shell::{Line, kubectl};
use crate::node::Node;
use crate::render::RenderedSite;

pub(super) fn tools(site: &RenderedSite) -> Vec<Step> {
    let out = out(site);
    let git = before_argo_cd(site).iter().any(|one| matches!(one.chart(), Some(Chart::Git { .. })));
    let tools = if git { "kubectl, Helm, jq, git and dpu-render" } else { "kubectl, Helm, jq and dpu-render" };
    let mut steps = vec![Step::new(
        format!(
            "Have {tools} on the machine where you run this, in bash or zsh, with the repository's root as working \
                 folder, and kubectl's context on the management cluster. What waits may have to be repeated until its \
                 object is there."
        ),
        [kubectl().raw("cluster-info").end()],
    )];
    let render = Line::of("dpu-render").word(&site.site.folder).raw(&format!("-o {out}")).end();
    steps.push(match &site.site.argocd.repo_url {
        Some(url) => Step::new(
            format!(
                "Push the site to {url}, where Argo CD reads it, and render it here: until there is an Argo CD, Helm takes its \
                 values from that tree."
            ),
            [render],
        ),
        None => Step::new(
            format!(
                "Render the site and commit the folder `{out}` to the repository of your sites (below, SITES_REPOSITORY is its \
                 URL: set it first): Helm takes its values from that tree, and Argo CD syncs it. Render and commit again \
                 whenever the site changes."
            ),
            [render, format!("git add {out} && git commit --message='render the site' && git push")],
        ),
    });
    if !site.site.clusters.is_empty() {
        steps.push(Step::new(
            "Name a folder that nobody else can read: it will hold the admin kubeconfigs of the DPU clusters.",
            [r#"export DPU_KUBECONFIGS="${DPU_KUBECONFIGS:-$(mktemp -d)}""#.to_owned()],
        ));
    }
    steps
}

pub(super) fn network(site: &RenderedSite) -> Vec<Step> {
    let mut steps = Vec::new();
    if ovn(site).is_some() {
        steps.push(Step::note(
            "Control plane nodes: Open vSwitch is installed, the management port is a port of an OVS bridge whose \
             metadata say bridge-uplink, and systemd-resolved's stub resolver is off. The cluster has no CNI and no \
             kube-proxy yet, CoreDNS runs on control plane nodes only, and no worker has joined.",
        ));
        steps.push(Step::note(
            "Worker hosts: Open vSwitch is not installed, the host's first high-speed port gets its address by DHCP, and \
             all of them are in one VLAN of the high-speed network. They join later.",
        ));
    }
    let discovery = applications(site)
        .filter(|one| one.value(&["dpuManifests", "externalDHCP"]).and_then(Node::as_bool) == Some(true))
        .find_map(|one| one.value(&["dpuManifests"]));
    if let Some(manifests) = discovery {
        let network = manifests.text(&["gatewayDiscoveryNetwork"]).unwrap_or("169.254.99.100/32");
        let route = option_121(network).map(|bytes| format!(" ({bytes}, then the four bytes of the gateway)"));
        steps.push(Step::note(format!(
            "DHCP server of the high-speed network: no default gateway; instead option 121 with a route to {network} via \
             the real gateway{}.",
            route.unwrap_or_default()
        )));
    }
    let mut vips = Vec::new();
    for cluster in of_kind(site, PROVISIONING, "DPUCluster") {
        let Some(keepalived) = cluster.node.at(&["spec", "clusterEndpoint", "keepalived"]) else { continue };
        let text = |key| keepalived.text(&[key]).unwrap_or_default();
        let router = keepalived.get("virtualRouterID").and_then(Node::as_i64).unwrap_or_default();
        let (name, vip, interface) = (&cluster.id.name, text("vip"), text("interface"));
        vips.push(format!("{vip} on {interface} with virtual router ID {router} for {name}"));
    }
    if !vips.is_empty() {
        steps.push(Step::note(format!(
            "Reserve the addresses of the DPU clusters' API servers in the management network, outside DHCP; no other \
             keepalived there has the same router ID: {}.",
            list(&vips)
        )));
    }
    steps
}

/// A route of DHCP option 121 (RFC 3442), without its gateway: the prefix length, then the bytes of the prefix that count.
fn option_121(network: &str) -> Option<String> {
    let network: ipnet::Ipv4Net = network.parse().ok()?;
    let length = network.prefix_len();
    let octets = network.network().octets();
    let bytes = [length].into_iter().chain(octets.into_iter().take(usize::from(length.div_ceil(8))));
    Some(bytes.map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
}

pub(super) fn storage(site: &RenderedSite) -> Vec<Step> {
    let exports: Vec<String> = of_kind(site, "", "PersistentVolume")
        .filter_map(|volume| {
            let nfs = volume.node.at(&["spec", "nfs"])?;
            Some(format!("{}:{}", nfs.text(&["server"])?, nfs.text(&["path"])?))
        })
        .collect();
    if exports.is_empty() {
        return Vec::new();
    }
    vec![Step::note(format!(
        "NFS: {} is exported, for reading and writing, to every node of the management cluster.",
        list(&exports)
    ))]
}

pub(super) fn control_plane(site: &RenderedSite) -> Vec<Step> {
    if ovn(site).is_none() {
        return Vec::new();
    }
    vec![Step::new(
        "OVN-Kubernetes keeps a zone per node: label each control plane node with its own name.",
        ["for node in $(kubectl get nodes --selector=node-role.kubernetes.io/control-plane --output=name); do\n    \
          kubectl label --overwrite \"$node\" k8s.ovn.org/zone-name=\"${node#node/}\"\ndone"
            .to_owned()],
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_written_as_in_the_guide() {
        assert_eq!(option_121("169.254.99.100/32").as_deref(), Some("20:a9:fe:63:64"));
        assert_eq!(option_121("10.17.0.0/20").as_deref(), Some("14:0a:11:00"));
        assert_eq!(option_121("0.0.0.0/0").as_deref(), Some("00"));
        assert_eq!(option_121("fd00::/64"), None);
    }
}
