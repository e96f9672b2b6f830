//! Secrets: needed, made, written.

use crate::site::Mode;
use crate::validate::testing::site;

const CODE: &str = "secret-missing";

#[test]
fn a_need_is_met_where_it_is() {
    let need = || site("").need(Some(0), "apps", "pull");
    let text = need().text(CODE);
    assert!(text.contains("- {kind: Secret, namespace: apps, name: pull, destination: edge}"), "{text}");
    assert!(need().external("Secret", "apps", "pull", None).found().is_empty());
    assert!(need().external("Secret", "apps", "pull", Some("edge")).found().is_empty());
    assert_eq!(need().external("Secret", "apps", "pull", Some("management")).of(CODE), ["-"]);
    assert_eq!(need().parity().of(CODE), ["-?"]);
    let both = need().cluster("far", "x").need(Some(1), "apps", "pull");
    assert!(both.text(CODE).contains("needed in every DPU cluster"));
}

#[test]
fn objects_make_secrets() {
    let makes = |object: &str| site("").need(Some(0), "apps", "pull").written(0, object).of(CODE).is_empty();
    assert!(makes(
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: a, namespace: apps}\nspec: {target: {name: pull}}\n"
    ));
    assert!(makes(
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: pull, namespace: apps}\n"
    ));
    assert!(makes("apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: pull, namespace: apps}\n"));
    assert!(makes(
        "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: a, namespace: apps}\nspec: {secretName: pull}\n"
    ));
    assert!(makes("apiVersion: v1\nkind: Secret\nmetadata: {name: pull, namespace: apps}\n"));
    assert!(!makes("apiVersion: v1\nkind: Secret\nmetadata: {name: pull, namespace: other}\n"));
    let near = "apiVersion: v1\nkind: Secret\nmetadata: {name: puli, namespace: apps}\n";
    assert!(site("").need(Some(0), "apps", "pull").written(0, near).text(CODE).contains("did you mean `puli`?"));
}

#[test]
fn values_and_configurations_name_secrets() {
    let application = |cluster: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: a, namespace: argo}}
spec:
  destination: {{name: {cluster}, namespace: apps}}
  source:
    helm:
      valuesObject:
        imagePullSecrets:
        - name: pull
        ovnkube: {{kubernetesSecretName: ovn-dpu}}
        empty: {{imagePullSecretName: \"\"}}
"
        )
    };
    assert_eq!(site(&application("edge")).of(CODE), ["10", "11"]);
    assert_eq!(site(&application("in-cluster")).of(CODE), ["10", "11"]);
    assert!(site(&application("elsewhere")).of(CODE).is_empty());
    let config = "apiVersion: operator.dpu.nvidia.com/v1alpha1
kind: DPFOperatorConfig
metadata: {name: dpfoperatorconfig, namespace: dpf-operator-system}
spec: {imagePullSecrets: [nowhere]}
---
apiVersion: provisioning.dpu.nvidia.com/v1alpha1
kind: DPUCluster
metadata: {name: edge, namespace: tenants}
spec: {type: kamaji, kubeconfig: edge-admin-kubeconfig}
";
    assert_eq!(site(config).of(CODE), ["4"]);
    assert_eq!(site(&config.replace("kamaji", "static")).of(CODE), ["4", "9"]);
    // Where DPF runs, it copies from the management cluster.
    let copied = site("").need(Some(0), "apps", "pull").external("Secret", "apps", "pull", Some("management"));
    assert!(copied.with(|site| site.mode = Mode::Operator).of(CODE).is_empty());
}

#[test]
fn literal_secret() {
    let secret = |rest: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: apps{rest}\n");
    let found = site(&secret("}\nstringData: {password: hunter2}"));
    assert_eq!(found.of("literal-secret"), ["3"]);
    assert!(!found.text("literal-secret").contains("hunter2"));
    let flow =
        site("{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: apps}, data: {password: aHVudGVyMg==}}\n");
    assert!(flow.text("literal-secret").contains("`password`") && !flow.text("literal-secret").contains("aHVudGVyMg"));
    assert_eq!(found.parity().of("literal-secret"), ["3?"]);
    assert!(site(&secret("}")).of("literal-secret").is_empty());
    assert!(site(&secret("}\nstringData: {a: <path:kv/x#y>, b: \"\"}")).of("literal-secret").is_empty());
    let argo =
        ", labels: {argocd.argoproj.io/secret-type: repository}}\nstringData: {url: a, type: helm, enableOCI: \"true\"";
    assert!(site(&secret(&format!("{argo}}}"))).of("literal-secret").is_empty());
    assert_eq!(site(&secret(&format!("{argo}, password: x}}"))).of("literal-secret"), ["3"]);
}
