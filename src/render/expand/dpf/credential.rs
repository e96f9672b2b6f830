//! `DPUServiceCredentialRequest` → `ServiceAccount`, and a Secret that must be there. PURE.
//!
//! In: requests. Out: the account in the management cluster or in the DPU cluster that is meant; the Secret as a need, for
//! nobody can render a token. Mirrors `internal/dpuservice/controllers/dpuservicecredentialrequest_controller.go`, release
//! v24.10.0-rc.6: a namespace that is not given is `default`, not the request's (P-74).

use super::context::{Context, Object, given, list};
use super::names::SVC;
use crate::diagnostic::{Diagnostic, nearest};
use crate::node::Node;
use crate::render::expand::SecretNeed;

/// Namespace and name that a request gives below `spec`.
pub(super) fn reference(request: &Node, what: &str) -> (String, String) {
    let namespace = request.text(&["spec", what, "namespace"]).filter(|text| !text.is_empty()).unwrap_or("default");
    (namespace.to_owned(), request.text(&["spec", what, "name"]).unwrap_or_default().to_owned())
}

/// Expands every request.
pub(super) fn expand(cx: &mut Context<'_>) {
    let requests: Vec<_> = cx.of_kind(SVC, "DPUServiceCredentialRequest").collect();
    for (id, request) in requests {
        cx.out.consumed.push(id.clone());
        let origin = request.origin();
        let (namespace, name) = reference(request, "secret");
        if cx.standalone() {
            cx.out.secrets.push(SecretNeed {
                cluster: None,
                namespace,
                name,
                reason: format!("{id} asks for it: credentials that DPF makes, or you, cannot be rendered"),
                origin: given(request, &["spec", "secret"]).map_or(origin, Node::origin),
            });
        }
        let (namespace, name) = reference(request, "serviceAccount");
        let account = Object::new("v1", "ServiceAccount", &namespace, &name, origin)
            .wave(cx.wave(request))
            .with([("automountServiceAccountToken", Some(Node::bool(false, origin)))]);
        let Some(target) = given(request, &["spec", "targetCluster"]) else {
            cx.out.management.push(account);
            continue;
        };
        let (namespace, name) = reference(request, "targetCluster");
        let clusters = &cx.input.site.clusters;
        match clusters.iter().position(|cluster| cluster.name == name && cluster.namespace == namespace) {
            Some(index) => cx.out.clusters[index].push(account),
            None => {
                let names: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
                let same_name = clusters.iter().find(|cluster| cluster.name == name);
                let help = match (same_name, nearest(&name, names.iter().copied())) {
                    (Some(cluster), _) => {
                        format!("its namespace is `{}`: `default` is taken where none is given", cluster.namespace)
                    }
                    (None, Some(near)) => format!("did you mean `{near}`?"),
                    (None, None) if names.is_empty() => "the site has no clusters".to_owned(),
                    (None, None) => format!("the clusters of the site are {}", list(&names)),
                };
                let message = format!("{id} is for DPU cluster `{namespace}/{name}`, which the site does not list");
                let origin = target.get("name").map_or(target.origin(), Node::origin);
                cx.report(Diagnostic::error("credential-cluster-missing", origin, message).help(help));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::render::expand::dpf::testing::{codes, find, run, standalone, svc};
    use serde_json::{Value as Json, json};

    fn request(target: Json) -> Json {
        svc(
            "DPUServiceCredentialRequest",
            "r",
            json!({"serviceAccount": {"name": "sa"}, "secret": {"name": "s", "namespace": "m"}, "targetCluster": target,
                "metadata": {"labels": {"dpu.nvidia.com/image-pull-secret": ""}}}),
        )
    }

    #[test]
    fn the_account_goes_where_it_is_meant_and_the_secret_is_a_need() {
        let (objects, site) = standalone(&[request(json!({"name": "c1", "namespace": "c1"}))]);
        let expanded = run(&objects, &site);
        let account = find(&expanded.clusters[1], "ServiceAccount", "sa").unwrap();
        assert_eq!(account.text(&["metadata", "namespace"]), Some("default"));
        assert_eq!(account.at(&["automountServiceAccountToken"]).unwrap().as_bool(), Some(false));
        let needs: Vec<_> = expanded.secrets.iter().map(|need| (need.cluster, need.name.as_str())).collect();
        assert_eq!(needs, [(None, "c0-c0"), (None, "c1-c1"), (None, "s")]);

        let (objects, site) = standalone(&[request(Json::Null)]);
        assert!(find(&run(&objects, &site).management, "ServiceAccount", "sa").is_some());
    }

    #[test]
    fn a_cluster_that_the_site_does_not_have_is_refused() {
        let (objects, site) = standalone(&[request(json!({"name": "c1"}))]);
        let expanded = run(&objects, &site);
        assert_eq!(codes(&expanded), ["credential-cluster-missing"]);
        assert!(expanded.diagnostics[0].help[0].contains("its namespace is `c1`"));
    }
}
