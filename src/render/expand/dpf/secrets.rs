//! Secrets that DPF copies into the DPU clusters. PURE.
//!
//! In: the operator's list of pull Secrets, and what carries or makes Secrets with the mirroring label. Out: needs, and the
//! faults of upstream's mirroring. Mirrors `reconcileImagePullSecrets` of
//! `internal/dpuservice/controllers/dpuservice_controller.go` and `internal/operator/controllers`, release v24.10.0-rc.6.
//! Whether a Secret is there is checked by `validate`.

use std::collections::{BTreeMap, BTreeSet};

use super::context::{Context, given, namespace, of_kind, place};
use super::names::{PULL_SECRET, SVC};
use super::operator_config::rendered;
use super::parts::Parts;
use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::render::expand::SecretNeed;
use crate::source::Origin;

/// Secrets that are mirrored, by namespace and name: why, and where that is written.
pub(super) struct Mirrored(BTreeMap<(String, String), (String, Origin)>);

impl Mirrored {
    /// Secrets that carry the label, that something gives the label, or that the operator's configuration lists.
    pub(super) fn find(cx: &Context<'_>, config: Option<&Node>) -> Self {
        let mut found = BTreeMap::new();
        let labelled =
            |node: &Node, path: &[&str]| node.fields(path).iter().any(|label| &*label.key.text == PULL_SECRET);
        let made = |group: &str, kind: &str, path: &[&str], renamed: &[&str]| -> Vec<_> {
            of_kind(cx.input.management, group, kind)
                .filter(|(_, node)| labelled(node, path))
                .map(|(id, node)| {
                    let name = node.text(renamed).unwrap_or(&id.name).to_owned();
                    ((id.namespace.to_string(), name), (format!("{id} carries `{PULL_SECRET}`"), place(node)))
                })
                .collect()
        };
        found.extend(made("", "Secret", &["metadata", "labels"], &[""]));
        let template = ["spec", "target", "template", "metadata", "labels"];
        found.extend(made("external-secrets.io", "ExternalSecret", &template, &["spec", "target", "name"]));
        found.extend(made("bitnami.com", "SealedSecret", &["spec", "template", "metadata", "labels"], &[""]));
        for (id, node) in cx.of_kind(SVC, "DPUServiceCredentialRequest") {
            if labelled(node, &["spec", "metadata", "labels"]) {
                let secret = super::credential::reference(node, "secret");
                found.insert(secret, (format!("{id} labels it `{PULL_SECRET}`"), place(node)));
            }
        }
        // The operator labels those it lists; the recorded runs without it did not.
        let operator = !cx.input.site.parity || rendered(cx);
        if let Some(config) = config.filter(|_| operator) {
            for name in config.items(&["spec", "imagePullSecrets"]) {
                let key = (namespace(config).to_owned(), name.as_str().unwrap_or_default().to_owned());
                found.insert(key, ("DPFOperatorConfig lists it in `imagePullSecrets`".to_owned(), name.origin()));
            }
        }
        Self(found)
    }

    /// Those of a namespace.
    fn of<'m>(&'m self, namespace: &'m str) -> impl Iterator<Item = (&'m str, &'m str, Origin)> + 'm {
        self.0
            .iter()
            .filter(move |((own, _), _)| own == namespace)
            .map(|((_, name), (reason, origin))| (name.as_str(), reason.as_str(), *origin))
    }

    /// With parity: whether upstream ever gets past its mirroring for the services of a namespace, and if not, why.
    pub(super) fn stuck(&self, cx: &Context<'_>, namespace: &str, in_clusters: bool) -> Option<&'static str> {
        self.of(namespace).next()?;
        match cx.input.site.clusters.len() {
            0 => None,
            1 if in_clusters => None,
            1 => Some("the namespace does not exist in the DPU cluster, where upstream copies the Secret to (P-49)"),
            _ => Some("with two or more DPU clusters upstream never gets past copying it (P-50)"),
        }
    }

    /// Refuses what the operator's own controller cannot do: system components, a labelled Secret, two clusters (P-50).
    pub(super) fn check_operator(&self, cx: &mut Context<'_>, config: &Node) {
        if cx.parity || rendered(cx) || cx.input.site.clusters.len() < 2 {
            return;
        }
        let Some((name, reason, origin)) = self.of(namespace(config)).next() else { return };
        cx.report(
            Diagnostic::error(
                "pull-secret-clusters",
                origin,
                format!(
                    "Secret `{}/{name}` is mirrored into {} DPU clusters, which the DPF operator v24.10 cannot do",
                    namespace(config),
                    cx.input.site.clusters.len()
                ),
            )
            .label(reason)
            .note("its system components would never get an Application: `metadata.managedFields must be nil`")
            .help("set `systemComponents: rendered` in the site, or make the registry readable without a pull Secret"),
        );
    }

    /// What must be there: listed Secrets in the management cluster, mirrored ones in every DPU cluster that has services of
    /// their namespace.
    pub(super) fn needs(&self, cx: &mut Context<'_>, config: Option<&Node>, parts: &Parts) {
        let mut needs = Vec::new();
        let operator = config.map(namespace).unwrap_or_default();
        for name in config.map(|config| config.items(&["spec", "imagePullSecrets"])).unwrap_or_default() {
            needs.push(SecretNeed {
                cluster: None,
                namespace: operator.to_owned(),
                name: name.as_str().unwrap_or_default().to_owned(),
                reason: "DPFOperatorConfig lists it in `imagePullSecrets`".to_owned(),
                origin: name.origin(),
            });
        }
        let mut namespaces: BTreeSet<&str> = parts
            .services
            .values()
            .filter(|part| given(&part.node, &["spec", "deployInCluster"]).and_then(Node::as_bool) != Some(true))
            .map(|part| namespace(&part.node))
            .collect();
        if config.is_some() {
            namespaces.insert(operator);
        }
        for ((namespace, name), (reason, origin)) in &self.0 {
            if cx.standalone() && namespaces.contains(namespace.as_str()) {
                needs.extend(cx.clusters().map(|cluster| SecretNeed {
                    cluster: Some(cluster),
                    namespace: namespace.clone(),
                    name: name.clone(),
                    reason: format!("{reason}: the services of the namespace expect it on every DPU cluster"),
                    origin: *origin,
                }));
            }
        }
        cx.out.secrets.extend(needs);
    }
}

#[cfg(test)]
mod tests {
    use crate::render::expand::dpf::testing::{codes, run, standalone};
    use crate::site::SystemComponents;
    use serde_json::json;

    #[test]
    fn listed_secrets_are_needed_everywhere_and_refused_beside_an_operator() {
        let config = json!({"apiVersion": "operator.dpu.nvidia.com/v1alpha1", "kind": "DPFOperatorConfig",
            "metadata": {"name": "dpfoperatorconfig", "namespace": "opns"}, "spec": {"imagePullSecrets": ["pull"]}});
        let (objects, mut site) = standalone(&[config]);
        let expanded = run(&objects, &site);
        assert_eq!(codes(&expanded), ["pull-secret-clusters"]);
        site.system_components = SystemComponents::Rendered;
        let expanded = run(&objects, &site);
        assert_eq!(codes(&expanded), [""; 0]);
        let needs: Vec<_> = expanded
            .secrets
            .iter()
            .filter(|need| need.name == "pull")
            .map(|need| (need.cluster, need.namespace.as_str()))
            .collect();
        assert_eq!(needs, [(None, "opns"), (Some(0), "opns"), (Some(1), "opns")]);
    }
}
