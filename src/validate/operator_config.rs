//! `DPFOperatorConfig`: its name, its references, and what must be off because it is rendered. PURE.

use super::Context;
use super::selector::known;
use super::view::{IPAM_NAMESPACE, OPERATOR, PROVISIONING, place};
use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::site::{Release, SystemComponents};

const NAME: &str = "dpfoperatorconfig";

/// P-65: the operator turns away every other name, in its log only.
pub(super) fn operator_config_name(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.objects(OPERATOR, "DPFOperatorConfig") {
        if &*id.name != NAME && &*id.namespace != NAME && context.site.dpf < Release::V25_4 {
            faults.push(
                Diagnostic::error(
                    "operator-config-name",
                    place(node),
                    format!("{id} is ignored by the operator, which reads `{NAME}` only"),
                )
                .note("no condition says so, only the operator's log")
                .help(format!("write `name: {NAME}`")),
            );
        } else if &*id.namespace != IPAM_NAMESPACE {
            faults.push(
                Diagnostic::warning(
                    "operator-config-name",
                    node.at(&["metadata", "namespace"]).map_or(place(node), Node::origin),
                    format!("{id} puts everything into namespace `{}`", id.namespace),
                )
                .note(format!("DPUServiceIPAM works in `{IPAM_NAMESPACE}` only"))
                .help(format!("write `namespace: {IPAM_NAMESPACE}`")),
            );
        }
    }
}

/// Stanzas of the components that are rendered here.
fn rendered(release: Release) -> Vec<&'static str> {
    let mut stanzas = vec!["serviceSetController", "multus", "sriovDevicePlugin", "flannel", "nvipam", "ovsCNI"];
    // Gone with v25.7.
    if release < Release::V25_7 {
        stanzas.push("ovsHelper");
    }
    stanzas
}

/// What both the operator and a standalone site would make.
pub(super) fn operator_runs_replaced(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const CODE: &str = "operator-runs-replaced";
    if !context.is_standalone() || context.site.parity {
        return;
    }
    let by_operator = context.site.system_components == SystemComponents::Operator;
    for (id, node) in context.objects(OPERATOR, "DPFOperatorConfig") {
        let Some(spec) = node.get("spec") else { continue };
        let disabled = |stanza: &str| match spec.at(&[stanza, "disable"]) {
            Some(node) => node.as_bool() == Some(true) || node.has_expression(),
            None => false,
        };
        let mut wanted = Vec::new();
        if by_operator {
            if disabled("dpuServiceController")
                && !spec.at(&["dpuServiceController", "disable"]).is_some_and(Node::has_expression)
            {
                faults.push(
                    Diagnostic::error(
                        CODE,
                        spec.at(&["dpuServiceController", "disable"]).map_or(place(node), Node::origin),
                        format!(
                            "{id} switches off `dpuServiceController`, which the operator's system components need"
                        ),
                    )
                    .note_at(
                        "`systemComponents: operator` leaves them to the operator",
                        context
                            .site
                            .node
                            .at(&["spec", "systemComponents"])
                            .map_or(context.site.node.origin(), Node::origin),
                    )
                    .note(
                        "the operator writes a DPUService for each of them, and this controller makes the Applications",
                    )
                    .help("take `disable` away, or write `systemComponents: rendered` in site.yaml"),
                );
            }
            // Without the agent nobody else programs the switch.
            if context.site.agent.is_some() {
                wanted.push("sfcController");
            }
        } else {
            wanted.extend(["dpuServiceController", "sfcController"]);
            wanted.extend(rendered(context.site.dpf));
        }
        wanted.retain(|stanza| !disabled(stanza));
        if wanted.is_empty() {
            continue;
        }
        // One that the operator does not know yet, or no more, needs no line: the field table says which those are.
        let lines: Vec<String> = wanted
            .iter()
            .map(|stanza| match spec.get(stanza).filter(|stanza| !stanza.is_null()) {
                Some(_) => format!("  {stanza}:\n    disable: true"),
                None => format!("  {stanza}: {{disable: true}}"),
            })
            .collect();
        let mut fault = Diagnostic::error(
            CODE,
            place(node),
            format!(
                "{id} lets the operator run {}, which this site renders itself",
                super::view::listed(wanted.iter().copied())
            ),
        )
        .note("both would write the same objects, and take them from each other");
        for stanza in wanted.iter().filter(|stanza| spec.get(stanza).is_some_and(|stanza| !stanza.is_null())).take(3) {
            fault = fault.note_at(format!("`{stanza}` is here"), spec.key_origin(stanza));
        }
        faults.push(fault.help(format!("add to its `spec`:\nspec:\n{}", lines.join("\n"))));
    }
}

/// P-70: an image without a tag is refused when the component is made.
pub(super) fn operator_image(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.objects(OPERATOR, "DPFOperatorConfig") {
        for entry in node.fields(&["spec"]) {
            let Some((image, node)) = entry.value.get("image").and_then(|node| Some((known(node)?, node))) else {
                continue;
            };
            if !image.is_empty() && !image.contains(':') && !context.is_told(node.origin()) {
                faults.push(
                    Diagnostic::error(
                        "operator-image",
                        node.origin(),
                        format!("`{}.image` of {id} is `{image}`, which has no tag", entry.key.text),
                    )
                    .help(format!("write `{image}:<tag>`")),
                );
            }
        }
    }
}

/// P-69: the operator puts all values of a component below the component's name, whatever the chart.
pub(super) fn operator_chart(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    const UMBRELLA: &str = "dpu-networking";
    for (id, node) in context.objects(OPERATOR, "DPFOperatorConfig") {
        for entry in node.fields(&["spec"]) {
            let Some((chart, node)) = entry.value.get("helmChart").and_then(|node| Some((known(node)?, node))) else {
                continue;
            };
            let name = chart.rsplit_once(':').map_or(chart, |(name, _)| name);
            if name.rsplit_once('/').is_none_or(|(_, name)| name == UMBRELLA) {
                continue;
            }
            faults.push(
                Diagnostic::warning(
                    "operator-chart",
                    node.origin(),
                    format!("`{}.helmChart` of {id} is not the chart `{UMBRELLA}`", entry.key.text),
                )
                .note("the values go below the component's name, with `enabled: true`: a chart of the component alone ignores them")
                .help("give a chart that holds the component's as a dependency of its name"),
            );
        }
    }
}

/// A volume claim of blanks passes the schema and stops the provisioning controller.
pub(super) fn operator_pvc_blank(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    for (id, node) in context.objects(OPERATOR, "DPFOperatorConfig") {
        let Some(name) = node.at(&["spec", "provisioningController", "bfbPVCName"]) else { continue };
        if name.as_str().is_some_and(|text| !text.is_empty() && text.trim().is_empty()) {
            faults.push(
                Diagnostic::error("operator-pvc-blank", name.origin(), format!("`bfbPVCName` of {id} is blank"))
                    .help("name the PersistentVolumeClaim that holds the images"),
            );
        }
    }
}

/// P-67: of all stanzas, this one is off until it is there.
pub(super) fn static_cluster_manager(context: &Context<'_>, faults: &mut Vec<Diagnostic>) {
    let first = context
        .objects(PROVISIONING, "DPUCluster")
        .find(|(_, node)| node.at(&["spec", "type"]).and_then(known) == Some("static"));
    for (id, node) in context.objects(OPERATOR, "DPFOperatorConfig") {
        let Some(spec) = node.get("spec") else { continue };
        let stanza = spec.get("staticClusterManager").filter(|stanza| !stanza.is_null());
        let on = stanza.is_some_and(|stanza| stanza.get("disable").and_then(Node::as_bool) != Some(true));
        match first {
            Some((cluster, object)) if !on => faults.push(
                Diagnostic::warning(
                    "static-cluster-manager",
                    stanza.map_or(place(node), Node::origin),
                    format!("{id} does not switch on `staticClusterManager`, and {cluster} is of type `static`"),
                )
                .note_at("the cluster", object.at(&["spec", "type"]).map_or(place(object), Node::origin))
                .note("unlike the others, this component is off until its stanza is there")
                .help("write `staticClusterManager: {}`"),
            ),
            _ => {}
        }
    }
}
