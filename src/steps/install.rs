//! What Helm installs once, before Argo CD can; then Argo CD takes over. PURE.

use super::Step;
use super::objects::{
    Application, Chart, INJECTOR, argo_cd as brings_argo_cd, before_argo_cd, dpf, has_injector, list, out, ovn,
};
use super::shell::{Line, kubectl, kubectl_in};
use crate::argocd::project::DEFAULT;
use crate::render::RenderedSite;

/// Helm logs in to registries; Secrets of the cluster are no use to it.
pub(super) fn login(site: &RenderedSite) -> Vec<Step> {
    let charts = ovn(site).into_iter().chain(before_argo_cd(site)).filter_map(Application::chart);
    let mut registries: Vec<String> = charts
        .filter_map(|chart| match chart {
            Chart::Oci(chart) => Some(chart.trim_start_matches("oci://").split('/').next()?.to_owned()),
            Chart::Http { .. } | Chart::Git { .. } => None,
        })
        .collect();
    registries.sort();
    registries.dedup();
    let login = |registry: &String| {
        let (user, password) = match registry.as_str() {
            "nvcr.io" => ("'$oauthtoken'", "NGC_API_KEY"),
            _ => ("\"${REGISTRY_USER:?}\"", "REGISTRY_PASSWORD"),
        };
        let line = Line::of("helm registry login").word(registry);
        let line = line.raw(&format!("--username={user} --password-stdin"));
        Line::of(&format!("printf %s \"${{{password}:?}}\"")).pipe(&line).end()
    };
    if registries.is_empty() {
        return Vec::new();
    }
    let commands: Vec<String> = registries.iter().map(login).collect();
    let set = match registries.iter().any(|registry| registry != "nvcr.io") {
        true => " Set REGISTRY_USER and REGISTRY_PASSWORD first.",
        false => "",
    };
    vec![Step::new(
        format!("Only if the charts that Helm installs below, from {}, are private: log in.{set}", list(&registries)),
        commands,
    )]
}

pub(super) fn cni(site: &RenderedSite) -> Vec<Step> {
    let Some(cni) = ovn(site) else { return Vec::new() };
    let off = format!("{INJECTOR}.enabled=false");
    let mut text = "Install OVN-Kubernetes, the primary CNI: without it no pod runs, Argo CD's included.".to_owned();
    let mut extra = None;
    if has_injector(cni) {
        text.push_str(" The injector stays off until Argo CD adds it, after what it injects.");
        extra = Some(off.as_str());
    }
    vec![
        Step::new(text, upgrade(site, cni, extra)),
        Step::new(
            "The nodes become ready, and so do the CNI's pods.",
            [
                kubectl().raw("wait --for=condition=Ready nodes --all --timeout=10m").end(),
                kubectl_in(cni.namespace()).raw("wait --for=condition=Ready pods --all --timeout=10m").end(),
            ],
        ),
    ]
}

/// Commands that install the chart of an Application as Argo CD would render it.
pub(super) fn upgrade(site: &RenderedSite, application: Application<'_>, set: Option<&str>) -> Vec<String> {
    let mut commands = Vec::new();
    let Some(chart) = application.chart() else { return commands };
    let helm = Line::of("helm upgrade --install").word(application.release());
    let mut line = match chart {
        Chart::Oci(chart) => helm.word(&chart),
        Chart::Http { repository, chart } => helm.word(chart).option("repo", repository),
        Chart::Git { repository, path } => {
            let revision = application.revision().unwrap_or("HEAD");
            let named = ["refs/heads/", "refs/tags/"].iter().find_map(|prefix| revision.strip_prefix(prefix));
            let named = named.unwrap_or(revision);
            let commit = named.len() == 40 && named.bytes().all(|byte| byte.is_ascii_hexdigit());
            commands.push(r#"CHART="$(mktemp -d)""#.to_owned());
            let clone = Line::of("git clone --quiet");
            if commit {
                commands.push(clone.word(repository).raw("\"$CHART\"").end());
                commands.push(Line::of("git -C \"$CHART\" checkout --quiet").word(named).end());
            } else if named == "HEAD" {
                commands.push(clone.raw("--depth=1").word(repository).raw("\"$CHART\"").end());
            } else {
                let clone = clone.raw("--depth=1 --config advice.detachedHead=false").option("branch", named);
                commands.push(clone.word(repository).raw("\"$CHART\"").end());
            }
            helm.raw(&format!("\"$CHART\"/{}", super::shell::quote(path)))
        }
    };
    if !matches!(application.chart(), Some(Chart::Git { .. }))
        && let Some(version) = application.revision()
    {
        line = line.option("version", version);
    }
    line = line.option("namespace", application.namespace()).raw("--create-namespace");
    if application.has_values_file() {
        line = line.option("values", &format!("{}/management/values/{}.yaml", out(site), application.id.name));
    }
    for (name, value, forced) in application.parameters() {
        line = line.option(if forced { "set-string" } else { "set" }, &format!("{name}={value}"));
    }
    if let Some(set) = set {
        line = line.option("set", set);
    }
    commands.push(line.end());
    commands
}

pub(super) fn argo_cd(site: &RenderedSite) -> Vec<Step> {
    let mut steps = Vec::new();
    let early = before_argo_cd(site);
    let argo = brings_argo_cd(site);
    for application in &early {
        let brings = argo.is_some_and(|argo| argo.id == application.id);
        let mut commands = upgrade(site, *application, None);
        let namespace = application.namespace();
        commands
            .push(kubectl_in(namespace).raw("wait --for=condition=Available deployments --all --timeout=15m").end());
        let name = &application.id.name;
        let text = match (brings, dpf(site).is_some_and(|dpf| dpf.id == application.id)) {
            (true, true) => format!("Install {name}: the DPF operator, and with it Argo CD, Kamaji and its etcd."),
            (true, false) => format!("Install {name}: Argo CD."),
            (false, _) => format!("Install {name}, whose wave comes before Argo CD's."),
        };
        steps.push(Step::new(text, commands));
    }
    let namespace = &site.site.argocd.namespace;
    let mut commands = Vec::new();
    if let Some(dpf) = dpf(site).filter(|dpf| early.iter().any(|one| one.id == dpf.id)) {
        let deployment = format!("deployment/{}-controller-manager", dpf.release());
        commands.push(kubectl_in(dpf.namespace()).raw("rollout status").word(&deployment).raw("--timeout=10m").end());
    }
    commands.push(kubectl_in(namespace).raw("wait --for=condition=Ready pods --all --timeout=15m").end());
    let crds = "wait --for=condition=Established crd/applications.argoproj.io crd/appprojects.argoproj.io --timeout=5m";
    commands.push(kubectl().raw(crds).end());
    let text = match argo {
        Some(_) => format!("Everything in {namespace} runs, and the cluster knows Argo CD's kinds."),
        None => format!(
            "Install Argo CD into the namespace {namespace}: nothing in this site brings it. Its pods run, and the cluster \
             knows its kinds."
        ),
    };
    steps.push(Step::new(text, commands));
    steps
}

/// Lets Argo CD read the repository that the rendered tree is committed to.
pub(super) fn repository(site: &RenderedSite) -> Vec<Step> {
    let argocd = &site.site.argocd;
    let Some(url) = &argocd.repo_url else { return Vec::new() };
    let create = kubectl_in(&argocd.namespace)
        .raw("create secret generic dpu-render-sites --from-literal=type=git")
        .option("from-literal", &format!("url={url}"))
        .raw("--from-literal=username=\"${GIT_USERNAME:?}\"")
        .raw("--from-literal=password=\"${GIT_PASSWORD:?}\"")
        .raw("--dry-run=client --output=yaml")
        .pipe(&super::shell::apply(kubectl_in(&argocd.namespace)));
    let label = kubectl_in(&argocd.namespace)
        .raw("label --overwrite secret dpu-render-sites argocd.argoproj.io/secret-type=repository");
    vec![Step::new(
        format!("Only if {url} is private: let Argo CD read it. Set GIT_USERNAME and GIT_PASSWORD first."),
        [create.end(), label.end()],
    )]
}

/// Has Argo CD call this program.
pub(super) fn plugin(site: &RenderedSite) -> Vec<Step> {
    let argocd = &site.site.argocd;
    if argocd.repo_url.is_none() {
        return Vec::new();
    }
    let containers = kubectl_in(&argocd.namespace)
        .raw("get pods --selector=app.kubernetes.io/component=repo-server")
        .raw("--output=jsonpath='{.items[*].spec.containers[*].name}'");
    vec![Step::new(
        format!(
            "Install the plugin {} beside Argo CD's repo-server, as plugin/README.md says; its container is then in that pod.",
            argocd.plugin
        ),
        [containers.end()],
    )]
}

/// Has Argo CD sync the objects of the management cluster.
pub(super) fn root(site: &RenderedSite) -> Vec<Step> {
    if site.site.argocd.repo_url.is_some() {
        let bootstrap = Line::of("dpu-render argocd").word(&site.site.folder);
        return vec![Step::new(
            "Have Argo CD sync the site from Git: from here on it applies the management cluster's objects wave by wave, the \
             Applications of the DPU clusters among them, and the steps below see to what it waits for. Again whenever the site \
             gains kinds, clusters or layers.",
            [bootstrap.pipe(&super::shell::apply(kubectl())).end()],
        )];
    }
    vec![Step::new(
        "Have Argo CD sync the committed objects of the management cluster: from here on it applies them wave by wave, and \
         the steps below see to what it waits for.",
        [sync(site, &root_name(site), &site.site.argocd.management_cluster, &format!("{}/management", out(site)))],
    )]
}

/// Has Argo CD sync the rendered objects of each DPU cluster.
pub(super) fn trees(site: &RenderedSite) -> Vec<Step> {
    // With a repository they are among the management cluster's objects.
    let clusters = site.site.clusters.iter().filter(|_| site.site.argocd.repo_url.is_none());
    let commands = clusters.map(|cluster| {
        let path = format!("{}/clusters/{}", out(site), cluster.name);
        sync(site, &tree_name(site, &cluster.name), &cluster.name, &path)
    });
    let commands: Vec<String> = commands.collect();
    if commands.is_empty() {
        return Vec::new();
    }
    vec![Step::new("Have Argo CD sync the committed objects of each DPU cluster.", commands)]
}

/// Name of the Application that syncs the management cluster's objects.
pub(super) fn root_name(site: &RenderedSite) -> String {
    match site.site.argocd.repo_url {
        Some(_) => site.name.clone(),
        None => tree_name(site, "management"),
    }
}

/// Name of the Application that syncs a destination's objects.
pub(super) fn tree_name(site: &RenderedSite, destination: &str) -> String {
    format!("{}-{destination}", site.name)
}

/// Makes an Application of a folder of the repository. It has no finalizer: deleting it deletes nothing else.
fn sync(site: &RenderedSite, name: &str, destination: &str, path: &str) -> String {
    let argocd = &site.site.argocd;
    let application = serde_json::json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": argocd.namespace},
        "spec": {
            // Only `dpu-render argocd` makes a project of the site's own.
            "project": site.site.node.text(&["spec", "argocd", "project"]).unwrap_or(DEFAULT),
            "source": {
                "repoURL": "SITES_REPOSITORY",
                "targetRevision": argocd.revision(),
                "path": path,
            },
            "destination": {"name": destination},
            "syncPolicy": {
                "automated": {"selfHeal": true},
                "retry": {"limit": -1},
                "syncOptions": ["ServerSideApply=true", "SkipDryRunOnMissingResource=true"],
            },
        },
    });
    let text = Line::of("printf %s").word(&application.to_string());
    let text = text.pipe(&Line::of("sed \"s|SITES_REPOSITORY|${SITES_REPOSITORY:?}|\""));
    text.pipe(&super::shell::apply(kubectl())).end()
}
