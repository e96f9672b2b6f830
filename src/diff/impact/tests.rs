//! Changes of a small site, and what each does.

use std::collections::BTreeMap;

use super::gate::{self, Gate};
use super::{Class, Impact};
use crate::diff::{self, Memo, SiteDiff, rollout};
use crate::render::{Options, RenderedSite, Repository};

/// A deployment with two hosts, of which one is selected.
fn lab() -> BTreeMap<String, String> {
    let folder = [
        ("sites/lab/site.yaml", include_str!("../../../tests/render/deployment-with-inventory/sites/lab/site.yaml")),
        (
            "sites/lab/inventory.yaml",
            include_str!("../../../tests/render/deployment-with-inventory/sites/lab/inventory.yaml"),
        ),
        ("base/deployment.yaml", include_str!("../../../tests/render/deployment-with-inventory/base/deployment.yaml")),
        (
            "base/operator-config.yaml",
            include_str!("../../../tests/render/deployment-with-inventory/base/operator-config.yaml"),
        ),
    ];
    folder.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
}

fn render(files: &BTreeMap<String, String>) -> RenderedSite {
    let repository = Repository::new(files);
    let outcome = repository.render("sites/lab", &Options::default());
    let said: String = outcome
        .diagnostics
        .iter()
        .map(|diagnostic| crate::diagnostic::render(diagnostic, repository.tree(), false))
        .collect();
    outcome.site.unwrap_or_else(|| panic!("{said}"))
}

/// `path`, a text in it, and what takes its place.
type Edit<'a> = (&'a str, &'a str, &'a str);

fn edited(mut files: BTreeMap<String, String>, edits: &[Edit<'_>]) -> BTreeMap<String, String> {
    for (path, from, to) in edits {
        let text = files.get_mut(*path).unwrap();
        assert!(text.contains(from), "{path} has no {from}");
        *text = text.replacen(from, to, 1);
    }
    files
}

fn compare(base: &[Edit<'_>], head: &[Edit<'_>]) -> SiteDiff {
    let before = edited(lab(), base);
    let after = edited(before.clone(), head);
    diff::site(Some(&render(&before)), Some(&render(&after)), &Memo::default())
}

/// The impact on the object that is shown as `Kind namespace/name`.
fn impact(diff: &SiteDiff, id: &str) -> Impact {
    let found = diff.changes.iter().find(|one| one.change.id.to_string() == id);
    let known = || diff.changes.iter().map(|one| one.change.id.to_string()).collect::<Vec<_>>().join(", ");
    found.unwrap_or_else(|| panic!("{id} does not change; {} do", known())).impact.clone().unwrap()
}

const DEPLOYMENT: &str = "base/deployment.yaml";
const SITE: &str = "sites/lab/site.yaml";
const INVENTORY: &str = "sites/lab/inventory.yaml";
const OPERATOR: Edit<'_> = (SITE, "mode: standalone", "mode: operator");
const CARD_1: &str = "worker1-0000-90-00";
const CARD_2: &str = "worker2-0000-90-00";
const SET: &str = "DPUSet dpf-operator-system/edge-all";
const APPLICATION: &str = "Application dpf-operator-system/dpu-a-edge-hbn";
const CHAIN: &str = "ServiceChain dpf-operator-system/edge-worker1-0000-90-00";

/// A change and what is expected of one object: class, rule, cards, how many at a time.
struct Expected<'a> {
    base: &'a [Edit<'a>],
    head: &'a [Edit<'a>],
    object: &'a str,
    says: (Class, &'a str, &'a [&'a str], Option<&'a str>),
}

fn check(cases: &[Expected<'_>]) {
    for Expected { base, head, object, says } in cases {
        let found = impact(&compare(base, head), object);
        let dpus: Vec<&str> = found.dpus.iter().map(String::as_str).collect();
        let said = (found.class, found.rule, &dpus[..], found.at_a_time.as_deref());
        assert_eq!(said, *says, "{object} after {head:?}: {}", found.why);
    }
}

#[test]
fn cards_are_reprovisioned_by_name_and_rate() {
    let second = "name: other, namespace: dpf-operator-system}\nspec:\n  url: https://content.example.com/b.bfb\n---\n";
    let head = format!("apiVersion: provisioning.dpu.nvidia.com/v1alpha1\nkind: BFB\nmetadata: {{{second}");
    let first = "apiVersion: provisioning.dpu.nvidia.com/v1alpha1\nkind: DPUFlavor";
    let both = format!("{head}{first}");
    check(&[
        Expected {
            base: &[(DEPLOYMENT, first, &both)],
            head: &[(DEPLOYMENT, "bfb: bf-bundle", "bfb: other")],
            object: SET,
            says: (Class::Reprovisioned, "dpuset-bfb", &[CARD_1], Some("1")),
        },
        Expected {
            base: &[OPERATOR, (DEPLOYMENT, first, &both)],
            head: &[(DEPLOYMENT, "bfb: bf-bundle", "bfb: other")],
            object: "DPUDeployment dpf-operator-system/edge",
            says: (Class::Reprovisioned, "deployment-bfb", &[CARD_1], Some("1")),
        },
        // Every host, so that the second card joins.
        Expected {
            base: &[],
            head: &[(
                DEPLOYMENT,
                "nodeSelector: {matchLabels: {feature.node.kubernetes.io/dpu-enabled: \"true\"}}",
                "nodeSelector: {matchExpressions: [{key: x, operator: DoesNotExist}]}",
            )],
            object: SET,
            says: (Class::Reprovisioned, "cards-move", &[CARD_2], None),
        },
        // Another suffix is another DPUSet: the same card leaves and joins.
        Expected {
            base: &[OPERATOR],
            head: &[(DEPLOYMENT, "nameSuffix: all", "nameSuffix: every")],
            object: "DPUDeployment dpf-operator-system/edge",
            says: (Class::Reprovisioned, "cards-move", &[CARD_1], None),
        },
        Expected {
            base: &[],
            head: &[(DEPLOYMENT, "nameSuffix: all", "nameSuffix: every")],
            object: "DPUSet dpf-operator-system/edge-every",
            says: (Class::Reprovisioned, "dpuset-gone", &[CARD_1], None),
        },
        // Other words, the same cards.
        Expected {
            base: &[],
            head: &[(
                DEPLOYMENT,
                "nodeSelector: {matchLabels: {feature.node.kubernetes.io/dpu-enabled: \"true\"}}",
                "nodeSelector: {matchExpressions: [{key: feature.node.kubernetes.io/dpu-enabled, operator: Exists}]}",
            )],
            object: SET,
            says: (Class::Nothing, "same-cards", &[], None),
        },
    ]);
}

#[test]
fn without_an_inventory_cards_are_told_in_words() {
    let none = [(SITE, "  inventory: inventory.yaml\n", ""), (DEPLOYMENT, "flavor\n", "flavor\n")];
    let head = [(
        DEPLOYMENT,
        "nodeSelector: {matchLabels: {feature.node.kubernetes.io/dpu-enabled: \"true\"}}",
        "nodeSelector: {matchLabels: {rack: r1}}",
    )];
    let found = impact(&compare(&none, &head), SET);
    assert_eq!((found.class, found.rule), (Class::Reprovisioned, "cards-selected"));
    assert!(found.dpus.is_empty());
    assert_eq!(found.of.as_deref(), Some("the cards that DPUSet dpf-operator-system/edge-all selects"));
}

#[test]
fn services_and_chains() {
    check(&[
        Expected {
            base: &[],
            head: &[(DEPLOYMENT, "memory: 8Gi", "memory: 9Gi")],
            object: APPLICATION,
            says: (Class::Restarted, "values", &[CARD_1], None),
        },
        Expected {
            base: &[],
            head: &[(DEPLOYMENT, "version: 1.0.1", "version: 1.0.2")],
            object: APPLICATION,
            says: (Class::Restarted, "chart-version", &[CARD_1], None),
        },
        Expected {
            base: &[],
            head: &[(DEPLOYMENT, "\"interface\": \"ip_lo\"", "\"interface\": \"ip_l1\"")],
            object: APPLICATION,
            says: (Class::Restarted, "pod-networks", &[CARD_1], None),
        },
        Expected {
            base: &[],
            head: &[
                (DEPLOYMENT, "{uplink: p0}}\n        spec", "{uplink: up}}\n        spec"),
                (DEPLOYMENT, "{matchLabels: {uplink: p0}}", "{matchLabels: {uplink: up}}"),
            ],
            object: CHAIN,
            says: (Class::Interrupted, "chain", &[CARD_1], None),
        },
        Expected {
            base: &[],
            head: &[(DEPLOYMENT, "{name: p0_if, network: mybrhbn}", "{name: p0_if, network: mybrsfc}")],
            object: "ServiceInterface dpf-operator-system/edge-hbn-p0-if-worker1-0000-90-00",
            says: (Class::Interrupted, "interface", &[CARD_1], None),
        },
        Expected {
            base: &[OPERATOR],
            head: &[(DEPLOYMENT, "memory: 8Gi", "memory: 9Gi")],
            object: "DPUServiceConfiguration dpf-operator-system/hbn",
            says: (Class::Restarted, "configuration", &[CARD_1], None),
        },
    ]);
}

/// A service that is installed by an Application, on the cards of a rack.
#[test]
fn pods_leave_cards_and_come_to_others_at_a_rate() {
    let begin = "apiVersion: provisioning.dpu.nvidia.com/v1alpha1\nkind: BFB";
    let service = format!(
        "apiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUService\nmetadata: {{name: probe, namespace: dpf-operator-system}}\n\
         spec:\n  serviceDaemonSet:\n    updateStrategy: {{type: RollingUpdate, rollingUpdate: {{maxUnavailable: 2}}}}\n    \
         nodeSelector: {{nodeSelectorTerms: [{{matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: \
         [{CARD_1}]}}]}}]}}\n  helmChart:\n    source: {{repoURL: \"oci://registry.example.com/charts\", chart: probe, version: \
         1.0.0}}\n    values: {{size: 1}}\n---\n{begin}"
    );
    let base = [(DEPLOYMENT, begin, service.as_str())];
    let application = "Application dpf-operator-system/dpu-a-probe";
    check(&[
        Expected {
            base: &base,
            head: &[(DEPLOYMENT, "values: {size: 1}", "values: {size: 2}")],
            object: application,
            says: (Class::Restarted, "values", &[CARD_1], Some("2")),
        },
        Expected {
            base: &base,
            head: &[(DEPLOYMENT, "values: [worker1-0000-90-00]", "values: [worker2-0000-90-00]")],
            object: application,
            says: (Class::Interrupted, "service-nodes", &[CARD_1, CARD_2], None),
        },
    ]);
}

#[test]
fn addresses() {
    let pool = "CIDRPool dpf-operator-system/loopback";
    let source = "DPUServiceIPAM dpf-operator-system/loopback";
    let range = |to| (DEPLOYMENT, "network: 11.0.0.0/24", to);
    check(&[
        Expected {
            base: &[OPERATOR],
            head: &[range("network: 11.0.0.0/25")],
            object: source,
            says: (Class::Refused, "ipam-shrinks", &[], None),
        },
        Expected {
            base: &[OPERATOR],
            head: &[range("network: 11.0.0.0/23")],
            object: source,
            says: (Class::NewPods, "pool", &[CARD_1, CARD_2], None),
        },
        Expected {
            base: &[OPERATOR],
            head: &[(
                DEPLOYMENT,
                "ipv4Network: {network: 11.0.0.0/24, prefixSize: 32}",
                "ipv4Subnet: {subnet: 11.0.0.0/24, gateway: 11.0.0.1, perNodeIPCount: 4}",
            )],
            object: source,
            says: (Class::Refused, "ipam-form", &[], None),
        },
        Expected {
            base: &[],
            head: &[range("network: 11.0.0.0/25")],
            object: pool,
            says: (Class::LeftBehind, "pool-shrinks", &[CARD_1, CARD_2], None),
        },
        Expected {
            base: &[],
            head: &[(DEPLOYMENT, "prefixSize: 32", "prefixSize: 30")],
            object: pool,
            says: (Class::LeftBehind, "pool-moves", &[CARD_1, CARD_2], None),
        },
        Expected {
            base: &[(DEPLOYMENT, "prefixSize: 32}", "prefixSize: 32, allocations: {worker2-0000-90-00: 11.0.0.9/32}}")],
            head: &[(DEPLOYMENT, "prefixSize: 32,", "prefixSize: 32, exclusions: [11.0.0.9],")],
            object: pool,
            says: (Class::LeftBehind, "allocation-lost", &[CARD_2], None),
        },
    ]);
}

#[test]
fn what_the_api_server_refuses() {
    let bfb = "BFB dpf-operator-system/bf-bundle";
    check(&[
        Expected {
            base: &[],
            head: &[(DEPLOYMENT, "com/bf-bundle.bfb", "com/other.bfb")],
            object: bfb,
            says: (Class::Refused, "immutable", &[], None),
        },
        Expected {
            base: &[],
            head: &[(DEPLOYMENT, "PF_BAR2_ENABLE=0", "PF_BAR2_ENABLE=1")],
            object: "DPUFlavor dpf-operator-system/flavor",
            says: (Class::Refused, "immutable", &[], None),
        },
        // Writing the webhook's default down is no change.
        Expected {
            base: &[OPERATOR],
            head: &[(DEPLOYMENT, "bf-bundle.bfb\n", "bf-bundle.bfb\n  fileName: dpf-operator-system-bf-bundle.bfb\n")],
            object: bfb,
            says: (Class::NewPods, "image-changed", &[CARD_1], None),
        },
    ]);
    let found = impact(&compare(&[], &[(DEPLOYMENT, "com/bf-bundle.bfb", "com/other.bfb")]), bfb);
    assert!(
        found.why.contains("`spec` may not change") && found.why.contains("Make a BFB of another name"),
        "{}",
        found.why
    );
}

#[test]
fn what_stays_behind() {
    let extra = |annotations: &str, finalizers: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: extra\n  namespace: \
             dpf-operator-system\n{annotations}{finalizers}spec:\n  project: default\n  source: {{repoURL: \
             https://charts.example.com, chart: x, targetRevision: 1.0.0}}\n  destination: {{name: dpu-a, namespace: x}}\n---\n"
        )
    };
    let option = |option: &str| format!("  annotations: {{argocd.argoproj.io/sync-options: \"{option}\"}}\n");
    let finalizer = "  finalizers: [resources-finalizer.argocd.argoproj.io]\n";
    let begin = "apiVersion: provisioning.dpu.nvidia.com/v1alpha1\nkind: BFB";
    for (annotations, finalizers, class, rule) in [
        (String::new(), "", Class::LeftBehind, "application-without-finalizer"),
        (String::new(), finalizer, Class::Interrupted, "application-gone"),
        (option("SkipDryRunOnMissingResource=true, Prune=false"), finalizer, Class::LeftBehind, "prune-false"),
        (option("Prune=confirm"), finalizer, Class::LeftBehind, "prune-confirm"),
    ] {
        let text = extra(&annotations, finalizers);
        let with = format!("{text}{begin}");
        let found = impact(
            &compare(&[(DEPLOYMENT, begin, &with)], &[(DEPLOYMENT, &text, "")]),
            "Application dpf-operator-system/extra",
        );
        assert_eq!((found.class, found.rule), (class, rule));
    }
}

#[test]
fn a_card_that_goes_takes_its_objects_along() {
    let head = [
        (INVENTORY, "        - {pci: \"0000:90:00\", cluster: dpu-a, serial: MT2333XZ0V98}\n", ""),
        (INVENTORY, "      dpus:\n    - name", "      dpus: []\n    - name"),
    ];
    let found = impact(&compare(&[], &head), CHAIN);
    assert_eq!(
        (found.class, found.rule, &found.dpus[..]),
        (Class::Interrupted, "chain-gone", &[CARD_1.to_owned()][..])
    );
}

#[test]
fn kinds_that_nobody_knows_are_unknown() {
    let thing = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x, namespace: z}\nspec: {a: 1}\n---\n";
    let begin = "apiVersion: provisioning.dpu.nvidia.com/v1alpha1\nkind: BFB";
    let with = format!("{thing}{begin}");
    let found = impact(&compare(&[(DEPLOYMENT, begin, &with)], &[(DEPLOYMENT, "{a: 1}", "{a: 2}")]), "Thing z/x");
    assert_eq!((found.class, found.rule), (Class::Unknown, "unknown-kind"));
}

/// The lines that hold a change, `word kind count digest`.
fn held(base: &[Edit<'_>], head: &[Edit<'_>], gates: &str) -> (Vec<String>, Vec<String>) {
    let before = edited(lab(), base);
    let (before, after) = (render(&before), render(&edited(before, head)));
    let diff = diff::site(Some(&before), Some(&after), &Memo::default());
    let gates = Gate::of_word(gates).unwrap();
    let gated = gate::site(&diff, Some(&before), Some(&after), &gates);
    (gated.held.into_iter().map(|one| one.line).collect(), gated.idle)
}

#[test]
fn a_gate_lets_pass_what_is_acknowledged_and_nothing_else() {
    let move_to = |label: &'static str| {
        let from = "nodeSelector: {matchLabels: {feature.node.kubernetes.io/dpu-enabled: \"true\"}}";
        (DEPLOYMENT, from, label)
    };
    let none =
        "nodeSelector: {matchExpressions: [{key: feature.node.kubernetes.io/dpu-enabled, operator: DoesNotExist}]}";
    let all = "nodeSelector: {matchExpressions: [{key: x, operator: DoesNotExist}]}";
    let (lines, idle) = held(&[], &[move_to(none)], "reprovision");
    assert_eq!((lines.len(), idle.len()), (1, 0));
    assert!(lines[0].starts_with("reprovision DPUSet 1 "), "{lines:?}");

    // The line it asks for lets it pass, with words behind it; so does no other change.
    let note = format!(
        "metadata:\n  name: lab\n  annotations:\n    dpu-render.dev/acknowledge: |\n      {} CHG-1\n",
        lines[0]
    );
    let acknowledge = (SITE, "metadata: {name: lab}\n", &*note);
    assert_eq!(held(&[], &[move_to(none), acknowledge], "reprovision"), (Vec::new(), Vec::new()));
    let (other, idle) = held(&[], &[move_to(all), acknowledge], "reprovision");
    assert_eq!((other.len(), idle.len()), (1, 1));
    assert_ne!(other, lines);
    // It has been used once it is in the base.
    let (again, _) = held(&[acknowledge], &[move_to(none)], "reprovision");
    assert_eq!(again, lines);
    // What is less harmful passes.
    assert!(held(&[], &[(DEPLOYMENT, "memory: 8Gi", "memory: 9Gi")], "interrupt").0.is_empty());
    assert_eq!(held(&[], &[(DEPLOYMENT, "memory: 8Gi", "memory: 9Gi")], "restart").0.len(), 1);
}

#[test]
fn objects_that_are_lost_are_held_by_a_word_of_their_own() {
    let pool = "---\napiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceIPAM\nmetadata: {name: loopback, namespace: dpf-operator-system}\nspec:\n  ipv4Network: {network: 11.0.0.0/24, prefixSize: 32}\n";
    let (lines, _) = held(
        &[],
        &[(DEPLOYMENT, pool, ""), (DEPLOYMENT, "\"poolNames\": [\"loopback\"]", "\"poolNames\": []")],
        "lost",
    );
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("lost CIDRPool 1 "), "{lines:?}");
}

#[test]
fn a_secret_is_no_part_of_the_digest() {
    let set = |value: &'static str| (DEPLOYMENT, "values: {resources: {memory: 8Gi}}", value);
    let base = [set("values: {resources: {memory: 8Gi}, password: first}")];
    let change = |to: &'static str| held(&base, &[(DEPLOYMENT, "password: first", to)], "restart").0;
    assert_eq!(change("password: second"), change("password: third"));
    let open = |to: &'static str| held(&[], &[(DEPLOYMENT, "memory: 8Gi", to)], "restart").0;
    assert_ne!(open("memory: 9Gi"), open("memory: 7Gi"));
}

#[test]
fn the_order_of_a_rollout() {
    let words = |head: &[Edit<'_>]| {
        let (before, after) = (render(&lab()), render(&edited(lab(), head)));
        let diff = diff::site(Some(&before), Some(&after), &Memo::default());
        let rollouts = rollout::of(&diff, Some(&after));
        rollout::told(&rollouts)
            .into_iter()
            .flat_map(|(head, lines)| [head].into_iter().chain(lines))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words(&[(DEPLOYMENT, "memory: 8Gi", "memory: 9Gi")]),
        [
            "lab, management",
            "wave 0: Application dpf-operator-system/dpu-a-edge-hbn; waits until each Application has all that it installs in \
             sync and healthy",
        ]
    );
    assert_eq!(
        words(&[(DEPLOYMENT, "com/bf-bundle.bfb", "com/other.bfb")]),
        [
            "lab, management",
            "wave 0: the sync stops here, BFB dpf-operator-system/bf-bundle is refused; what follows is not applied",
        ]
    );
    assert_eq!(
        words(&[(DEPLOYMENT, "{name: p0_if, network: mybrhbn}", "{name: p0_if, network: mybrsfc}")])[2..],
        [
            "lab, dpu-a, by its own Application",
            "wave 0: ServiceInterface dpf-operator-system/edge-hbn-p0-if-worker1-0000-90-00",
        ]
    );
}
