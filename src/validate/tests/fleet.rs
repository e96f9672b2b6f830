//! The cost of many objects is that of one, many times.

use std::fmt::Write as _;

use crate::validate::testing::site;

/// Chains, interfaces and pools, each chain with its own two interfaces.
fn fleet(count: usize) -> String {
    let mut text = String::new();
    for n in 0..count {
        for port in ["a", "b"] {
            let _ = write!(
                text,
                "---\napiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceInterface\nmetadata: {{name: {port}{n}, namespace: net}}\n\
                 spec: {{template: {{spec: {{template: {{metadata: {{labels: {{port: {port}{n}, all: same}}}}, spec: {{interfaceType: ovn}}}}}}}}}}\n"
            );
        }
        let _ = write!(
            text,
            "---\napiVersion: svc.dpu.nvidia.com/v1alpha1\nkind: DPUServiceChain\nmetadata: {{name: c{n}, namespace: net}}\n\
             spec: {{template: {{spec: {{template: {{spec: {{switches: [{{ports: [{{serviceInterface: {{matchLabels: {{port: a{n}, all: same}}}}}}, {{serviceInterface: {{matchLabels: {{port: b{n}}}}}}}]}}]}}}}}}}}}}\n"
        );
    }
    text
}

#[test]
fn many_chains_are_matched_by_label() {
    // 15,000 objects: a scan per port would take minutes.
    assert!(site(&fleet(5_000)).found().is_empty());
}
