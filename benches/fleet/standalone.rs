//! The standalone fleet: DPF's service objects on the management cluster of each site, which `dpu-render` expands into
//! about as many objects per DPU cluster as the plain fleet has. Touches only the tree it is given.

use std::error::Error;

use serde_json::{Value, json};

use crate::forms::{site_object, stream};
use crate::model::{Fleet, cluster_name, id, map_text, merge, site_name};
use crate::{Tree, yaml};

const PLATFORM: &str = include_str!("data/standalone.yaml");

/// Objects per cluster that do not come from a `DPUService` of ours: eight system components, four services, five
/// interfaces and the three of HBN, two chains, two pools and a namespace.
const WITHOUT_SERVICES: usize = 25;

/// Writes `base/` and the sites.
pub(crate) fn write(fleet: &Fleet, tree: &mut Tree) -> Result<(), Box<dyn Error>> {
    let (services, platform): (Vec<Value>, Vec<Value>) =
        yaml::parse(PLATFORM)?.into_iter().partition(|object| id(object).0 == "DPUService");
    let pattern = services.first().ok_or("the data has no DPUService")?;
    let count = fleet.base.len().saturating_sub(WITHOUT_SERVICES).max(1) + OWN_OBJECTS;
    let services: Vec<Value> = (0..count).map(|number| service(pattern, number)).collect();
    let layer = json!({
        "apiVersion": "dpu-render.dev/v1alpha1",
        "kind": "Layer",
        "metadata": {"name": "base"},
        "spec": {"destination": "management", "vars": {"mtu": 1500}},
    });
    tree.write("base/layer.yaml", &stream([&layer]))?;
    tree.write("base/platform.yaml", &stream(&platform))?;
    tree.write("base/services.yaml", &stream(&services))?;
    for site in 0..fleet.sites {
        let name = site_name(site);
        let mut object = site_object(fleet, site, "standalone", json!(["base"]));
        let secrets = (0..fleet.clusters).map(|number| cluster_secret(site, number));
        object["spec"]["external"].as_array_mut().ok_or("a site lists what others make")?.extend(secrets);
        object["spec"]["argocd"] = json!({
            "namespace": "dpf-operator-system",
            "managementCluster": "in-cluster",
            "project": "default",
            "repoURL": "https://git.example.com/dpu/sites.git",
            "targetRevision": "main",
        });
        tree.write(&format!("sites/{name}/site.yaml"), &stream([&object]))?;
        let change = json!({
            "apiVersion": "svc.dpu.nvidia.com/v1alpha1",
            "kind": "DPUService",
            "metadata": {"name": "service-1", "namespace": "dpf-operator-system"},
            "spec": {"helmChart": {"values": {"logLevel": "debug", "collector": format!("telemetry.{name}.example.com")}}},
        });
        tree.write(&format!("sites/{name}/changes.yaml"), &stream([&change]))?;
    }
    Ok(())
}

/// Objects of the plain fleet that are not in its base: two of the overlay, three of the site.
const OWN_OBJECTS: usize = 5;

/// Returns service number `number`; the first one has an interface in a chain, the second one's values read the cluster.
fn service(pattern: &Value, number: usize) -> Value {
    let name = format!("service-{number}");
    let mut service = map_text(pattern, &mut |text| text.replace("service-n", &name).into());
    match number {
        0 => merge(&mut service, &json!({"spec": {"interfaces": ["storage-if"]}})),
        1 => merge(&mut service, &json!({"spec": {"helmChart": {"values": {"cluster": "${{ cluster.name }}"}}}})),
        _ => {}
    }
    service
}

/// Returns the entry for the Secret by which Argo CD reaches a DPU cluster.
fn cluster_secret(site: usize, number: usize) -> Value {
    let name = cluster_name(site, number);
    json!({
        "kind": "Secret",
        "namespace": "dpf-operator-system",
        "name": format!("{name}-{name}"),
        "destination": "management",
        "keys": ["name", "server", "config"],
    })
}
