//! Documents of our own kinds to typed structs. PURE.
//!
//! In: a document and the folder it lies in. Out: the struct; faults are added to `diagnostics`, and what cannot be read
//! takes its default so that all faults are found at once.

use super::fields::Fields;
use super::{
    Agent, ApiKind, ArgoCd, Cluster, Declaration, Dpu, External, ForEach, Host, Inventory, Layer, Mode, Patch, Release,
    Site, Stage, SystemComponents, Target, VariableType,
};
use crate::argocd::version::Version;
use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::source::Origin;

/// Which of our kinds a document is; a document of our group and none of our kinds is an error.
pub fn kind(document: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<ApiKind> {
    let version = document.text(&["apiVersion"])?;
    let group = version.split('/').next().unwrap_or_default();
    if group != super::GROUP {
        return None;
    }
    if version != super::API_VERSION {
        let origin = document.key_origin("apiVersion");
        diagnostics.push(
            Diagnostic::error("unknown-kind", origin, format!("`{version}` is not a version of ours"))
                .help(format!("write `apiVersion: {}`", super::API_VERSION)),
        );
    }
    let name = document.text(&["kind"]).unwrap_or_default();
    let found = ApiKind::ALL.into_iter().find(|kind| kind.name() == name);
    if found.is_none() && name != "DPUNodeNetworkStatus" {
        let names: Vec<&str> = ApiKind::ALL.iter().map(|kind| kind.name()).collect();
        let fault = Diagnostic::error(
            "unknown-kind",
            document.get("kind").map_or(document.origin(), Node::origin),
            format!("there is no kind `{name}` in the group `{}`", super::GROUP),
        );
        diagnostics.push(match crate::diagnostic::nearest(name, names.iter().copied()) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None => fault.help(format!("the kinds are: {}", names.join(", "))),
        });
    }
    found
}

/// `path` as people write it in `folder`, from the repository's root; `None` where it leads out of it.
#[must_use]
pub fn resolve_path(path: &str, folder: &str) -> Option<String> {
    let relative = path == "." || path.starts_with("./");
    if path.starts_with('/') || path.split('/').any(|part| part == "..") || path.is_empty() {
        return None;
    }
    let base = if relative { folder } else { "" };
    let parts: Vec<&str> =
        base.split('/').chain(path.split('/')).filter(|part| !part.is_empty() && *part != ".").collect();
    Some(parts.join("/"))
}

fn paths(fields: &mut Fields<'_, '_>, name: &str, folder: &str) -> Vec<(String, Origin)> {
    let mut found = Vec::new();
    for item in fields.list(name) {
        let Some(text) = item.as_str() else {
            let message = format!("a layer is a path, this is {}", item.kind());
            fields.diagnostics.push(Diagnostic::error("wrong-type", item.origin(), message));
            continue;
        };
        match resolve_path(text, folder) {
            Some(path) => found.push((path, item.origin())),
            None => fields.diagnostics.push(
                Diagnostic::error(
                    "layer-path",
                    item.origin(),
                    format!("the layer path `{text}` leads out of the repository"),
                )
                .help("write a path from the repository's root, or `./…` from this folder; `..` is not allowed"),
            ),
        }
    }
    found
}

fn document<'n, 'd>(
    node: &'n Node,
    kind: ApiKind,
    known: &[&str],
    diagnostics: &'d mut Vec<Diagnostic>,
) -> (String, Fields<'n, 'd>) {
    Fields::new(node, format!("this {}", kind.name()), &["apiVersion", "kind", "metadata", "spec"], diagnostics);
    let name = match node.get("metadata") {
        Some(metadata) => {
            let what = format!("`metadata` of this {}", kind.name());
            Fields::new(metadata, what, &["name", "labels", "annotations"], diagnostics).required("name")
        }
        None => {
            let message = format!("this {} needs `metadata.name`", kind.name());
            diagnostics.push(Diagnostic::error("missing-field", node.origin(), message));
            None
        }
    }
    .unwrap_or_default();
    let spec = node.get("spec").unwrap_or(node);
    if node.get("spec").is_none() {
        let message = format!("{} `{name}` needs `spec`", kind.name());
        diagnostics.push(Diagnostic::error("missing-field", node.origin(), message));
        return (name.clone(), Fields::new(spec, "", &["apiVersion", "kind", "metadata"], diagnostics));
    }
    (name.clone(), Fields::new(spec, format!("`spec` of {} `{name}`", kind.name()), known, diagnostics))
}

/// A `Site`, whose file lies in `folder`.
#[must_use]
pub fn site(node: &Node, folder: &str, diagnostics: &mut Vec<Diagnostic>) -> Site {
    const KNOWN: [&str; 12] = [
        "dpf",
        "mode",
        "parity",
        "systemComponents",
        "layers",
        "vars",
        "clusters",
        "inventory",
        "external",
        "argocd",
        "agent",
        // Read by `argocd::expect`, which can be told to pass it over.
        "expect",
    ];
    let (name, mut spec) = document(node, ApiKind::Site, &KNOWN, diagnostics);
    if spec.get("dpf").is_none() {
        let fault = Diagnostic::error(
            "missing-field",
            spec.origin("dpf"),
            format!("Site `{name}` does not say its DPF release"),
        );
        spec.diagnostics
            .push(fault.help("write `dpf: v24.10`, or the release that the site runs; it is never guessed"));
    }
    let releases: Vec<(&str, Release)> = Release::ALL.into_iter().map(|release| (release.name(), release)).collect();
    let dpf = spec.choice("dpf", &releases).unwrap_or(Release::V24_10);
    let mode = spec
        .choice("mode", &[("standalone", Mode::Standalone), ("operator", Mode::Operator)])
        .unwrap_or(Mode::Standalone);
    let components = [("rendered", SystemComponents::Rendered), ("operator", SystemComponents::Operator)];
    let system_components = spec.choice("systemComponents", &components).unwrap_or(SystemComponents::Rendered);
    let parity = spec.bool("parity").unwrap_or_default();
    let layers = paths(&mut spec, "layers", folder);
    let vars = spec.map("vars");
    let inventory = spec.string("inventory").map(|path| {
        let origin = spec.origin("inventory");
        let path = if path.contains('/') && !path.starts_with("./") {
            path
        } else {
            format!("./{}", path.trim_start_matches("./"))
        };
        (resolve_path(&path, folder), origin)
    });
    let inventory = match inventory {
        Some((Some(path), origin)) => Some((path, origin)),
        Some((None, origin)) => {
            spec.diagnostics.push(Diagnostic::error(
                "layer-path",
                origin,
                "the inventory's path leads out of the repository",
            ));
            None
        }
        None => None,
    };
    let clusters = spec.list("clusters").iter().map(|node| cluster(node, spec.diagnostics)).collect();
    let external = spec.list("external").iter().map(|node| external(node, spec.diagnostics)).collect();
    let argocd = argocd(spec.get("argocd"), &name, dpf, node.origin(), spec.diagnostics);
    let agent = spec.get("agent").map(|node| {
        let mut fields = Fields::new(node, "`agent`", &["image", "namespace"], spec.diagnostics);
        Agent {
            image: fields.required("image").unwrap_or_default(),
            namespace: fields.string("namespace").unwrap_or_else(|| DPF_NAMESPACE.to_owned()),
            origin: node.origin(),
        }
    });
    let mut site = Site {
        name,
        folder: folder.to_owned(),
        dpf,
        mode,
        parity,
        system_components,
        layers,
        vars,
        clusters,
        inventory,
        external,
        argocd,
        agent,
        node: node.clone(),
    };
    unique(site.clusters.iter().map(|cluster| (cluster.name.as_str(), cluster.origin)), "cluster", diagnostics);
    site.clusters.sort_by(|a, b| a.name.cmp(&b.name));
    for external in &site.external {
        let there =
            || ["management", "clusters"].into_iter().chain(site.clusters.iter().map(|cluster| cluster.name.as_str()));
        let Some(wanted) = external.destination.as_deref().filter(|wanted| !there().any(|name| name == *wanted)) else {
            continue;
        };
        let message = format!("`external` names the destination `{wanted}`, which is no cluster of this site");
        let fault = Diagnostic::error("unknown-destination", external.origin, message);
        diagnostics.push(match crate::diagnostic::nearest(wanted, there()) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None => fault.help(format!("allowed: `{}`", there().collect::<Vec<_>>().join("`, `"))),
        });
    }
    site
}

/// Namespace that DPF's guides install into.
pub const DPF_NAMESPACE: &str = "dpf-operator-system";

fn unique<'a>(names: impl Iterator<Item = (&'a str, Origin)>, what: &str, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen = std::collections::BTreeMap::new();
    // One without a name was refused for that.
    for (name, origin) in names.filter(|(name, _)| !name.is_empty()) {
        if let Some(first) = seen.insert(name, origin) {
            let fault = Diagnostic::error("duplicate-name", origin, format!("two entries for the {what} `{name}`"));
            diagnostics.push(fault.note_at("first written here", first));
        }
    }
}

fn cluster(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Cluster {
    let mut fields = Fields::new(node, "an entry of `clusters`", &["name", "namespace", "vars"], diagnostics);
    let name = fields.required("name").unwrap_or_default();
    if name == "management" {
        let fault = Diagnostic::error(
            "value-not-allowed",
            fields.origin("name"),
            "a DPU cluster cannot be called `management`",
        );
        fields.diagnostics.push(fault.note("that name means the management cluster"));
    }
    Cluster {
        namespace: fields.string("namespace").unwrap_or_else(|| name.clone()),
        vars: fields.map("vars"),
        origin: node.origin(),
        name,
    }
}

fn external(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> External {
    let known = ["group", "kind", "namespace", "name", "destination", "keys"];
    let mut fields = Fields::new(node, "an entry of `external`", &known, diagnostics);
    External {
        group: fields.string("group").unwrap_or_default(),
        kind: fields.required("kind").unwrap_or_default(),
        namespace: fields.string("namespace").unwrap_or_default(),
        name: fields.required("name").unwrap_or_default(),
        destination: fields.string("destination"),
        keys: fields.list("keys").iter().filter_map(|key| key.as_str().map(str::to_owned)).collect(),
        origin: node.origin(),
    }
}

/// The plugin of this program, as `plugin/plugin.yaml` names it.
pub const PLUGIN: &str = concat!("dpu-render-v", env!("CARGO_PKG_VERSION"));

fn argocd(node: Option<&Node>, site: &str, dpf: Release, origin: Origin, diagnostics: &mut Vec<Diagnostic>) -> ArgoCd {
    let empty = Node::map([], Origin::NONE);
    let known = ["namespace", "managementCluster", "project", "repoURL", "targetRevision", "plugin", "version"];
    let mut fields = Fields::new(node.unwrap_or(&empty), "`argocd`", &known, diagnostics);
    let written = fields.string("version");
    let version = written.as_deref().and_then(Version::parse);
    if let Some(written) = written.filter(|_| version.is_none()) {
        let message = format!("`version` of `argocd` cannot be `{written}`");
        let fault = Diagnostic::error("value-not-allowed", fields.origin("version"), message);
        fields.diagnostics.push(fault.help("write Argo CD's version as `v2.12`"));
    }
    ArgoCd {
        namespace: fields.string("namespace").unwrap_or_else(|| DPF_NAMESPACE.to_owned()),
        management_cluster: fields.string("managementCluster").unwrap_or_else(|| "in-cluster".to_owned()),
        project: fields.string("project").unwrap_or_else(|| site.to_owned()),
        repo_url: fields.string("repoURL"),
        target_revision: fields.string("targetRevision"),
        plugin: fields.string("plugin").unwrap_or_else(|| PLUGIN.to_owned()),
        version: version.unwrap_or_else(|| Version::of_release(dpf)),
        present: node.is_some(),
        origin: node.map_or(origin, Node::origin),
    }
}

/// A `Layer`, whose file lies in `folder`.
#[must_use]
pub fn layer(node: &Node, folder: &str, diagnostics: &mut Vec<Diagnostic>) -> Layer {
    let (_, mut spec) = document(node, ApiKind::Layer, &["layers", "destination", "vars", "declare"], diagnostics);
    let layers = paths(&mut spec, "layers", folder);
    let destination = spec.string("destination").map(|text| (text, spec.origin("destination")));
    let vars = spec.map("vars");
    let mut declare = Vec::new();
    for entry in spec.entries("declare") {
        let known = ["type", "minimum", "maximum", "enum", "description"];
        let what = format!("the declaration of `{}`", entry.key.text);
        let mut fields = Fields::new(&entry.value, what, &known, spec.diagnostics);
        declare.push(Declaration {
            name: entry.key.text.to_string(),
            kind: fields.choice("type", &VariableType::NAMES),
            minimum: fields.number("minimum"),
            maximum: fields.number("maximum"),
            description: fields.string("description"),
            choices: fields.list("enum").to_vec(),
            origin: entry.key.origin,
        });
    }
    Layer { layers, destination, vars, declare, origin: node.origin() }
}

/// An `Inventory`.
#[must_use]
pub fn inventory(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Inventory {
    let (_, mut spec) = document(node, ApiKind::Inventory, &["hosts"], diagnostics);
    let mut hosts: Vec<Host> = Vec::new();
    for node in spec.list("hosts") {
        let mut fields =
            Fields::new(node, "an entry of `hosts`", &["name", "labels", "vars", "dpus"], spec.diagnostics);
        let name = fields.required("name").unwrap_or_default();
        let mut labels = fields.strings("labels");
        let vars = fields.map("vars");
        let list = fields.list("dpus");
        let mut dpus = Vec::new();
        for (index, node) in list.iter().enumerate() {
            let card = dpu(node, &name, fields.diagnostics);
            // Node feature discovery sets these on the host; the index is the position in the list.
            if let Some(pci) = &card.pci {
                labels
                    .entry(format!("feature.node.kubernetes.io/dpu-{index}-pci-address"))
                    .or_insert_with(|| pci.replace(':', "-"));
            }
            dpus.push(card);
        }
        hosts.push(Host { name, labels, vars, dpus, origin: node.origin() });
    }
    unique(hosts.iter().map(|host| (host.name.as_str(), host.origin)), "host", diagnostics);
    let cards = hosts.iter().flat_map(|host| &host.dpus);
    unique(cards.map(|dpu| (dpu.node_name.as_str(), dpu.origin)), "DPU node", diagnostics);
    Inventory { hosts, present: true }
}

fn dpu(node: &Node, host: &str, diagnostics: &mut Vec<Diagnostic>) -> Dpu {
    let known = ["pci", "cluster", "serial", "labels", "vars", "nodeName"];
    let mut fields = Fields::new(node, format!("a card of host `{host}`"), &known, diagnostics);
    let pci = fields.string("pci");
    let given = fields.string("nodeName");
    if pci.is_none() && given.is_none() {
        let fault = Diagnostic::error("missing-field", node.origin(), format!("a card of host `{host}` needs `pci`"));
        fields
            .diagnostics
            .push(fault.help("write its address, as `pci: \"0000:90:00\"`, or the name of its Node as `nodeName`"));
    }
    // DPF v24.10, internal/provisioning/controllers/dpuset: `<lower-case host>-<pci with dashes>`.
    let derived = || format!("{}-{}", host.to_lowercase(), pci.as_deref().unwrap_or_default().replace(':', "-"));
    Dpu {
        node_name: given.unwrap_or_else(derived),
        cluster_origin: fields.origin("cluster"),
        cluster: fields.required("cluster").unwrap_or_default(),
        serial: fields.string("serial"),
        labels: fields.strings("labels"),
        vars: fields.map("vars"),
        origin: node.origin(),
        pci,
    }
}

/// A `Patch`.
#[must_use]
pub fn patch(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Patch {
    let (name, mut spec) = document(node, ApiKind::Patch, &["stage", "target", "operations"], diagnostics);
    let stage = spec.choice("stage", &[("input", Stage::Input), ("output", Stage::Output)]).unwrap_or(Stage::Input);
    let empty = Node::map([], node.origin());
    if spec.get("target").is_none() {
        let message = format!("Patch `{name}` needs `target`");
        spec.diagnostics.push(Diagnostic::error("missing-field", node.origin(), message));
    }
    let target = spec.get("target").unwrap_or(&empty);
    let known = ["group", "kind", "namespace", "name", "labels", "destination"];
    let operations = spec.list("operations").to_vec();
    let origin = target.origin();
    let mut fields = Fields::new(target, format!("`target` of Patch `{name}`"), &known, spec.diagnostics);
    let target = Target {
        group: fields.string("group"),
        kind: fields.string("kind"),
        namespace: fields.string("namespace"),
        name: fields.string("name"),
        labels: fields.strings("labels"),
        destination: fields.string("destination"),
        origin,
    };
    if operations.is_empty() {
        let message = format!("Patch `{name}` has no operations");
        spec.diagnostics.push(Diagnostic::error("missing-field", node.origin(), message));
    }
    Patch { name, stage, target, operations, origin: node.origin() }
}

/// The annotation values of `dpu-render.dev/for-each`.
pub const FOR_EACH: [(&str, ForEach); 3] =
    [("clusters", ForEach::Clusters), ("hosts", ForEach::Hosts), ("dpus", ForEach::Dpus)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_paths_stay_in_the_repository() {
        assert_eq!(resolve_path("base/x", "sites/a").as_deref(), Some("base/x"));
        assert_eq!(resolve_path("./x/", "sites/a").as_deref(), Some("sites/a/x"));
        for bad in ["../x", "base/../../x", "/etc", "", "./.."] {
            assert_eq!(resolve_path(bad, "sites/a"), None, "{bad}");
        }
    }
}
