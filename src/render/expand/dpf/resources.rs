//! Whether the services of a deployment fit on its cards. PURE.
//!
//! In: the flavor's resources and what each template asks for. Out: what is missing. Mirrors `verifyResourceFitting` of
//! `internal/dpuservice/controllers/dpudeployment_controller.go`, release v24.10.0-rc.6. On purpose different: services
//! that run in the management cluster do not count, outside parity (P-04); every shortfall is shown, with who asks.

use std::collections::BTreeMap;

use super::context::Context;
use crate::diagnostic::Diagnostic;
use crate::node::{Node, Value};
use crate::source::Origin;

/// Billionths: what the smallest suffix counts.
type Amount = i128;

/// What a service asks for.
pub(super) struct Request<'n> {
    pub(super) service: &'n str,
    pub(super) template: &'n Node,
    pub(super) in_management: bool,
}

/// Reports what does not fit.
pub(super) fn check(cx: &mut Context<'_>, deployment: &Node, flavor: &Node, requests: &[Request<'_>]) {
    // No total: upstream checks nothing.
    let Some(total) = flavor.at(&["spec", "dpuResources"]).filter(|node| node.as_map().is_some()) else { return };
    let amounts = |node: Option<&Node>| -> BTreeMap<String, Amount> {
        let entries = node.map(|node| node.fields(&[])).unwrap_or_default();
        entries.iter().filter_map(|entry| Some((entry.key.text.to_string(), quantity(&entry.value)?))).collect()
    };
    let (total, reserved) = (amounts(Some(total)), amounts(flavor.at(&["spec", "systemReservedResources"])));
    let parity = cx.parity;
    let counted: Vec<(&Request<'_>, BTreeMap<String, Amount>)> = requests
        .iter()
        .filter(|request| parity || !request.in_management)
        .map(|request| (request, amounts(request.template.at(&["spec", "resourceRequirements"]))))
        .collect();
    let names = total.keys().chain(reserved.keys()).chain(counted.iter().flat_map(|(_, amounts)| amounts.keys()));
    let names: std::collections::BTreeSet<&String> = names.collect();
    let services = deployment.at(&["spec"]).map_or(deployment.origin(), |spec| spec.key_origin("services"));
    for resource in names {
        let of = |amounts: &BTreeMap<String, Amount>| amounts.get(resource).copied().unwrap_or_default();
        let (offered, kept) = (of(&total), of(&reserved));
        // Far beyond any card a sum is as good as the largest amount.
        let wanted = counted.iter().fold(0, |sum: Amount, (_, amounts)| sum.saturating_add(of(amounts)));
        let left = offered.saturating_sub(kept);
        let flavor_name = super::context::name(flavor);
        if kept > offered {
            let message =
                format!("DPUFlavor `{flavor_name}` reserves {} of {resource}, of {}", show(kept), show(offered));
            cx.report(
                Diagnostic::error("resources-exceeded", place(flavor, "systemReservedResources", resource), message)
                    .help("`systemReservedResources` must fit into `dpuResources`"),
            );
        } else if wanted > left {
            let message = format!(
                "the services of DPUDeployment `{}` ask for {} of {resource}, {} more than DPUFlavor `{flavor_name}` has",
                super::context::name(deployment),
                show(wanted),
                show(wanted.saturating_sub(left)),
            );
            let mut diagnostic = Diagnostic::error("resources-exceeded", services, message).note_at(
                format!("the flavor offers {} and reserves {}", show(offered), show(kept)),
                place(flavor, "dpuResources", resource),
            );
            for (request, amounts) in &counted {
                if let Some(amount) = amounts.get(resource) {
                    let origin = place(request.template, "resourceRequirements", resource);
                    diagnostic =
                        diagnostic.note_at(format!("`{}` asks for {}", request.service, show(*amount)), origin);
                }
            }
            cx.report(diagnostic);
        }
    }
}

fn place(object: &Node, map: &str, resource: &str) -> Origin {
    let node = object.at(&["spec", map]).unwrap_or(object);
    node.key_origin(resource)
}

/// A Kubernetes quantity in billionths; nothing where it is none, which the schema reports.
fn quantity(node: &Node) -> Option<Amount> {
    let text = match node.value() {
        Value::Str(text) => text.to_string(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    // `1e3` and `1E3` have an exponent, `1E` is exa.
    let exponent = suffix.strip_prefix(['e', 'E']).and_then(|digits| digits.parse::<i32>().ok());
    let scale: Amount = match (suffix, exponent) {
        (_, Some(exponent)) => return scaled(digits, exponent),
        ("", _) => 1_000_000_000,
        ("n", _) => 1,
        ("u", _) => 1_000,
        ("m", _) => 1_000_000,
        ("k", _) => return scaled(digits, 3),
        ("M", _) => return scaled(digits, 6),
        ("G", _) => return scaled(digits, 9),
        ("T", _) => return scaled(digits, 12),
        ("P", _) => return scaled(digits, 15),
        ("E", _) => return scaled(digits, 18),
        ("Ki", _) => 1_000_000_000 << 10,
        ("Mi", _) => 1_000_000_000 << 20,
        ("Gi", _) => 1_000_000_000 << 30,
        ("Ti", _) => 1_000_000_000 << 40,
        ("Pi", _) => 1_000_000_000 << 50,
        ("Ei", _) => 1_000_000_000 << 60,
        _ => return None,
    };
    decimal(digits, scale)
}

fn scaled(digits: &str, exponent: i32) -> Option<Amount> {
    let power = u32::try_from(exponent.checked_add(9)?).ok()?;
    decimal(digits, 10_i128.checked_pow(power)?)
}

/// A decimal times `scale`, rounded up as quantities are.
fn decimal(digits: &str, scale: Amount) -> Option<Amount> {
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: Amount = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut amount = whole.checked_mul(scale)?;
    if !fraction.is_empty() {
        let fraction = fraction.get(..fraction.len().min(18))?;
        let divisor = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        let part = fraction.parse::<Amount>().ok()?.checked_mul(scale)?;
        amount = amount.checked_add(part / divisor + Amount::from(part % divisor != 0))?;
    }
    Some(if negative { -amount } else { amount })
}

/// An amount as people write it.
fn show(amount: Amount) -> String {
    const UNIT: Amount = 1_000_000_000;
    for (suffix, shift) in [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)] {
        if amount != 0 && amount % (UNIT << shift) == 0 {
            return format!("{}{suffix}", amount / (UNIT << shift));
        }
    }
    match amount {
        _ if amount % UNIT == 0 => (amount / UNIT).to_string(),
        _ if amount % 1_000_000 == 0 => format!("{}m", amount / 1_000_000),
        _ => format!("{amount}n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::expand::dpf::testing::{management, run};
    use serde_json::{Value as Json, json};

    #[test]
    fn quantities_in_every_notation() {
        let of = |json: Json| quantity(&Node::from_json(&json, Origin::NONE));
        assert_eq!(of(json!("3500m")).unwrap() + of(json!("2.5")).unwrap(), of(json!(6)).unwrap());
        assert_eq!(of(json!("12Gi")).unwrap() + of(json!(2_147_483_648_i64)).unwrap(), of(json!("14Gi")).unwrap());
        assert_eq!(of(json!("1e3")), of(json!("1k")));
        assert_eq!(of(json!("1E")), of(json!("1e18")));
        assert_eq!((of(json!("x")), of(json!("1Q")), of(json!(true))), (None, None, None));
        assert_eq!(show(of(json!("1.5Gi")).unwrap()), "1536Mi");
        assert_eq!(show(of(json!("0.2")).unwrap()), "200m");
    }

    fn faults(total: Json, reserved: Json, requests: [Json; 2]) -> usize {
        let mut flavor = json!({"dpuResources": total, "systemReservedResources": reserved});
        if total.is_null() {
            flavor = json!({});
        }
        let [first, second] = requests;
        let (objects, site) = management(&[
            json!({"apiVersion": "provisioning.dpu.nvidia.com/v1alpha1", "kind": "BFB", "metadata": {"name": "b", "namespace": "n"}}),
            json!({"apiVersion": "provisioning.dpu.nvidia.com/v1alpha1", "kind": "DPUFlavor", "metadata": {"name": "f", "namespace": "n"}, "spec": flavor}),
            json!({"apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "DPUServiceTemplate", "metadata": {"name": "one", "namespace": "n"}, "spec": {"deploymentServiceName": "one", "resourceRequirements": first}}),
            json!({"apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "DPUServiceTemplate", "metadata": {"name": "two", "namespace": "n"}, "spec": {"deploymentServiceName": "two", "resourceRequirements": second}}),
            json!({"apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "DPUServiceConfiguration", "metadata": {"name": "one", "namespace": "n"}, "spec": {"deploymentServiceName": "one"}}),
            json!({"apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "DPUServiceConfiguration", "metadata": {"name": "two", "namespace": "n"}, "spec": {"deploymentServiceName": "two"}}),
            json!({"apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "DPUDeployment", "metadata": {"name": "d", "namespace": "n"}, "spec": {
                "dpus": {"bfb": "b", "flavor": "f"}, "serviceChains": [],
                "services": {"one": {"serviceTemplate": "one", "serviceConfiguration": "one"}, "two": {"serviceTemplate": "two", "serviceConfiguration": "two"}}}}),
        ]);
        let expanded = run(&objects, &site);
        expanded.diagnostics.iter().filter(|diagnostic| diagnostic.code == "resources-exceeded").count()
    }

    #[test]
    fn the_vectors_of_the_fact_sheet() {
        let big = || [json!({"cpu": 1, "memory": "3Gi"}), json!({"cpu": 1, "memory": "1Gi"})];
        assert_eq!(faults(Json::Null, json!({}), big()), 0);
        // More than any number here holds: neither a crash nor less than nothing.
        let most = || json!({"cpu": "170141183460469231731687303715"});
        assert_eq!(faults(json!({"cpu": 1}), json!({}), [most(), most()]), 1);
        assert_eq!(faults(most(), json!({"cpu": "-170141183460469231731687303715"}), [most(), json!({})]), 0);
        assert_eq!(faults(json!({"cpu": 2, "memory": "4Gi"}), json!({}), big()), 0);
        let small = [json!({"cpu": 0.5, "memory": "100Mi"}), json!({"cpu": "0.2", "memory": "1Gi"})];
        assert_eq!(faults(json!({"cpu": 2, "memory": "4Gi"}), json!({"cpu": 1, "memory": "2Gi"}), small), 0);
        let even = [json!({"cpu": 1, "memory": "1Gi"}), json!({"cpu": 1, "memory": "1Gi"})];
        assert_eq!(faults(json!({"cpu": 3, "memory": "3Gi"}), json!({"cpu": 1, "memory": "1Gi"}), even), 0);
        assert_eq!(faults(json!({"cpu": 1, "memory": "2Gi"}), json!({"cpu": 0.5, "memory": "1Gi"}), big()), 2);
        assert_eq!(faults(json!({"cpu": 1}), json!({"cpu": "500m"}), big()), 2);
    }
}
