//! The model as files that a tool reads: one function per form. Touches only the tree it is given.

use std::collections::BTreeMap;
use std::error::Error;

use serde_json::{Map, Value, json};

use crate::model::{
    Fleet, Layer, OVERLAYS, Part, Reads, Scope, cluster_name, evaluate, id, map_text, merge, parts, project, site_name,
    whole,
};
use crate::{Tree, yaml};

type Done = Result<(), Box<dyn Error>>;

/// A repository of sites: `base/`, two overlays, and for each site its `site.yaml`, changes and own objects.
pub(crate) fn dpu_render(fleet: &Fleet, tree: &mut Tree) -> Done {
    tree.write("base/layer.yaml", &stream([&layer_object("base", json!({"mtu": 1500}))]))?;
    for (kind, objects) in by_kind(&fleet.base) {
        tree.write(&format!("base/{kind}.yaml"), &stream(objects))?;
    }
    for (name, Layer { changes, own }) in OVERLAYS.iter().zip(&fleet.overlays) {
        tree.write(&format!("overlays/{name}/layer.yaml"), &stream([&layer_object(name, json!({}))]))?;
        tree.write(&format!("overlays/{name}/changes.yaml"), &stream(changes))?;
        tree.write(&format!("overlays/{name}/objects.yaml"), &stream(own))?;
    }
    for site in 0..fleet.sites {
        let name = site_name(site);
        let layers = json!(["base", format!("overlays/{}", fleet.overlay(site).0)]);
        let Layer { changes, mut own } = fleet.site_layer(site)?;
        own.iter_mut().for_each(|object| send(object, "clusters"));
        tree.write(&format!("sites/{name}/site.yaml"), &stream([&site_object(fleet, site, "operator", layers)]))?;
        tree.write(&format!("sites/{name}/changes.yaml"), &stream(&changes))?;
        tree.write(&format!("sites/{name}/objects.yaml"), &stream(&own))?;
    }
    Ok(())
}

/// A repository of sites that share nothing: every object of every cluster in full, one file per cluster.
pub(crate) fn written_out(fleet: &Fleet, tree: &mut Tree) -> Done {
    tree.write("base/layer.yaml", &stream([&layer_object("base", json!({}))]))?;
    for site in 0..fleet.sites {
        let name = site_name(site);
        let object = site_object(fleet, site, "operator", json!(["base"]));
        tree.write(&format!("sites/{name}/site.yaml"), &stream([&object]))?;
        let merged = fleet.merged(site)?;
        for cluster in 0..fleet.clusters {
            let (scope, destination) = (fleet.scope(site, cluster), cluster_name(site, cluster));
            let mut objects: Vec<Value> = merged.iter().map(|object| evaluate(object, &scope)).collect();
            objects.iter_mut().for_each(|object| send(object, &destination));
            tree.write(&format!("sites/{name}/{destination}.yaml"), &stream(&objects))?;
        }
    }
    Ok(())
}

/// Kustomizations on kustomizations: `base`, `overlays/<name>`, `sites/<site>`, `clusters/<site>/<cluster>`.
pub(crate) fn kustomize(fleet: &Fleet, tree: &mut Tree) -> Done {
    // The base has to be valid by itself: a value that is patched later is that of the first cluster.
    let first = fleet.scope(0, 0);
    let base: Vec<Value> = fleet.base.iter().map(|object| evaluate(object, &first)).collect();
    let mut resources = Vec::new();
    for (kind, objects) in by_kind(&base) {
        tree.write(&format!("base/{kind}.yaml"), &stream(objects))?;
        resources.push(format!("{kind}.yaml"));
    }
    tree.write("base/kustomization.yaml", &kustomization(resources, false))?;
    for (name, Layer { changes, own }) in OVERLAYS.iter().zip(&fleet.overlays) {
        tree.write(&format!("overlays/{name}/patches.yaml"), &stream(changes))?;
        tree.write(&format!("overlays/{name}/objects.yaml"), &stream(own))?;
        let resources = vec!["../../base".to_owned(), "objects.yaml".to_owned()];
        tree.write(&format!("overlays/{name}/kustomization.yaml"), &kustomization(resources, true))?;
    }
    for site in 0..fleet.sites {
        let folder = format!("sites/{}", site_name(site));
        let Layer { mut changes, own } = fleet.site_layer(site)?;
        let merged = fleet.merged(site)?;
        let scope = fleet.scope(site, 0);
        add_patches(&mut changes, &merged, Reads::Site, &scope);
        tree.write(&format!("{folder}/patches.yaml"), &stream(&changes))?;
        tree.write(&format!("{folder}/objects.yaml"), &stream(&own))?;
        let overlay = format!("../../overlays/{}", fleet.overlay(site).0);
        let resources = vec![overlay, "objects.yaml".to_owned()];
        tree.write(&format!("{folder}/kustomization.yaml"), &kustomization(resources, true))?;
        for cluster in 0..fleet.clusters {
            let folder = format!("clusters/{}/{}", site_name(site), cluster_name(site, cluster));
            let mut patches = Vec::new();
            add_patches(&mut patches, &merged, Reads::Cluster, &fleet.scope(site, cluster));
            tree.write(&format!("{folder}/patches.yaml"), &stream(&patches))?;
            tree.write(
                &format!("{folder}/kustomization.yaml"),
                &kustomization(vec![format!("../../../sites/{}", site_name(site))], true),
            )?;
        }
    }
    Ok(())
}

/// Adds the patches that give `objects` their values of one level, joined with a patch for the same object.
fn add_patches(patches: &mut Vec<Value>, objects: &[Value], reads: Reads, scope: &Scope) {
    for patch in objects.iter().filter_map(|object| project(object, reads)) {
        let patch = evaluate(&patch, scope);
        match patches.iter_mut().find(|other| id(other) == id(&patch)) {
            Some(other) => merge(other, &patch),
            None => patches.push(patch),
        }
    }
}

fn kustomization(resources: Vec<String>, patches: bool) -> String {
    let mut object =
        json!({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources});
    if patches {
        object["patches"] = json!([{"path": "patches.yaml"}]);
    }
    stream([&object])
}

/// One chart for all clusters. Values that an overlay or a site changes, and those that an expression reads, become
/// values of the chart; a file each for overlays, sites and clusters sets them.
pub(crate) fn helm(fleet: &Fleet, tree: &mut Tree) -> Done {
    let mut slots = Slots::default();
    let mut objects = fleet.base.clone();
    for overlay in &fleet.overlays {
        for change in &overlay.changes {
            mark_changes(&mut objects, change, "overlay", &mut slots);
        }
    }
    objects.extend(fleet.overlays[0].own.iter().cloned());
    let first = fleet.site_layer(0)?;
    for change in &first.changes {
        mark_changes(&mut objects, change, "site", &mut slots);
    }
    // A site's own objects: the chart has them, and the values have what differs.
    objects.extend(
        first
            .own
            .iter()
            .map(|object| map_text(object, &mut |text| text.replace("site-000", "site-${{ number }}").into())),
    );

    let chart = json!({"apiVersion": "v2", "name": "fleet", "version": "0.1.0", "type": "application"});
    tree.write("chart/Chart.yaml", &stream([&chart]))?;
    tree.write("chart/values.yaml", "overlay: {}\nsite: {}\n")?;
    let scope = fleet.scope(0, 0);
    let templates: Vec<Value> =
        objects.iter().map(|object| map_text(object, &mut |text| slots.expressions(text, &scope))).collect();
    for (kind, objects) in by_kind(&templates) {
        tree.write(&format!("chart/templates/{kind}.yaml"), &slots.fill(stream(objects)))?;
    }

    for (turn, name) in OVERLAYS.iter().enumerate() {
        let values = slots.values("overlay", &fleet.base, &fleet.overlays[turn].changes);
        tree.write(&format!("overlays/{name}.yaml"), &stream([&json!({"overlay": values})]))?;
    }
    for site in 0..fleet.sites {
        let mut values = Value::Object(fleet.site_vars(site));
        values["siteName"] = site_name(site).into();
        values["number"] = format!("{site:03}").into();
        values["overlayFile"] = format!("overlays/{}.yaml", fleet.overlay(site).0).into();
        values["site"] = slots.values("site", &fleet.base, &fleet.site_layer(site)?.changes);
        tree.write(&format!("sites/{}.yaml", site_name(site)), &stream([&values]))?;
        for cluster in 0..fleet.clusters {
            let mut values = Value::Object(fleet.cluster_vars(site, cluster));
            values["clusterName"] = cluster_name(site, cluster).into();
            tree.write(
                &format!("clusters/{}/{}.yaml", site_name(site), cluster_name(site, cluster)),
                &stream([&values]),
            )?;
        }
    }
    Ok(())
}

/// The places of a chart that values fill. A slot stands in the object as a word that needs no quotes, and its action
/// takes that word's place in the text.
#[derive(Default)]
struct Slots {
    actions: Vec<String>,
    changed: Vec<Changed>,
}

/// A value that an overlay or a site may change.
struct Changed {
    by: &'static str,
    object: (String, String),
    path: Vec<String>,
    name: String,
}

impl Slots {
    fn word(&mut self, action: String) -> String {
        let number = self.actions.iter().position(|other| *other == action).unwrap_or_else(|| {
            self.actions.push(action);
            self.actions.len() - 1
        });
        format!("slot{number}slot")
    }

    /// Turns the expressions of a text into slots.
    fn expressions(&mut self, text: &str, scope: &Scope) -> Value {
        if let Some(name) = whole(text) {
            let quote = if scope.get(name).is_some_and(Value::is_number) { "" } else { " | quote" };
            return self.word(format!("{{{{ .Values.{}{quote} }}}}", value_name(name))).into();
        }
        let mut out = String::new();
        for part in parts(text) {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Name(name) => out.push_str(&self.word(format!("{{{{ .Values.{} }}}}", value_name(name)))),
            }
        }
        out.into()
    }

    fn fill(&self, mut text: String) -> String {
        for (number, action) in self.actions.iter().enumerate() {
            text = text.replace(&format!("slot{number}slot"), action);
        }
        text
    }

    /// Returns what the values file of an overlay or a site has for the slots it may change.
    fn values(&self, by: &str, base: &[Value], changes: &[Value]) -> Value {
        let mut values = Map::new();
        for slot in self.changed.iter().filter(|slot| slot.by == by) {
            let find = |objects: &[Value]| {
                let object = objects.iter().find(|object| id(object) == (&slot.object.0, &slot.object.1))?;
                at(object, &slot.path).cloned()
            };
            if let Some(value) = find(changes).or_else(|| find(base)) {
                values.insert(slot.name.clone(), value);
            }
        }
        Value::Object(values)
    }
}

fn value_name(name: &str) -> &str {
    match name {
        "cluster.name" => "clusterName",
        "site.name" => "siteName",
        _ => name.strip_prefix("vars.").unwrap_or(name),
    }
}

/// Puts a slot wherever `change` sets a value in the object it is for.
fn mark_changes(objects: &mut [Value], change: &Value, by: &'static str, slots: &mut Slots) {
    let Some(object) = objects.iter_mut().find(|object| id(object) == id(change)) else { return };
    let mut paths = Vec::new();
    set_paths(change, &mut Vec::new(), &mut paths);
    for path in paths {
        if matches!(path.first().map(String::as_str), Some("apiVersion" | "kind")) || at(change, &path).is_none() {
            continue;
        }
        if matches!(path[..], [ref first, ref second] if first == "metadata" && (second == "name" || second == "namespace"))
            || path.last().is_some_and(|last| last == "name")
        {
            continue;
        }
        let (kind, name) = id(change);
        let known = slots
            .changed
            .iter()
            .any(|slot| slot.by == by && slot.object == (kind.into(), name.into()) && slot.path == path);
        if known {
            continue;
        }
        let slot = format!("v{}", slots.changed.len());
        let value = at(change, &path);
        let filter = match value {
            Some(Value::String(text)) if text.contains('\n') => " | toJson",
            Some(Value::String(_)) => " | quote",
            _ => "",
        };
        let word = slots.word(format!("{{{{ .Values.{by}.{slot}{filter} }}}}"));
        merge(object, &only(change, &path, &word));
        slots.changed.push(Changed { by, object: (kind.into(), name.into()), path, name: slot });
    }
}

/// Collects the paths of all values in a change; a member of a list is named by its `name`.
fn set_paths(value: &Value, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let mut under = |step: &str, value: &Value| {
        path.push(step.to_owned());
        set_paths(value, path, paths);
        path.pop();
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| under(key, value)),
        Value::Array(items) => items.iter().for_each(|item| under(item["name"].as_str().unwrap_or("?"), item)),
        _ => paths.push(path.clone()),
    }
}

fn at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    let Some((step, rest)) = path.split_first() else { return Some(value) };
    let inner = match value {
        Value::Array(items) => items.iter().find(|item| item["name"] == **step),
        _ => value.get(step),
    };
    at(inner?, rest)
}

/// Returns the change reduced to one path, with `word` as its value.
fn only(change: &Value, path: &[String], word: &str) -> Value {
    let Some((step, rest)) = path.split_first() else { return word.into() };
    match change {
        Value::Array(items) => {
            let item = items.iter().find(|item| item["name"] == **step).unwrap_or(&Value::Null);
            let mut kept = only(item, rest, word);
            kept["name"] = step.as_str().into();
            json!([kept])
        }
        _ => json!({ step: only(change.get(step).unwrap_or(&Value::Null), rest, word) }),
    }
}

/// Returns the `Site` of a site with its clusters.
pub(crate) fn site_object(fleet: &Fleet, site: usize, mode: &str, layers: Value) -> Value {
    let cluster = |number| {
        let name = cluster_name(site, number);
        json!({"name": name, "namespace": name, "vars": fleet.cluster_vars(site, number)})
    };
    let clusters: Vec<Value> = (0..fleet.clusters).map(cluster).collect();
    // The DPUCluster objects are not among the objects that are counted and compared.
    let external = |number| {
        let name = cluster_name(site, number);
        json!({"group": "provisioning.dpu.nvidia.com", "kind": "DPUCluster", "namespace": name, "name": name})
    };
    let external: Vec<Value> = (0..fleet.clusters).map(external).collect();
    json!({
        "apiVersion": "dpu-render.dev/v1alpha1",
        "kind": "Site",
        "metadata": {"name": site_name(site)},
        "spec": {
            "dpf": "v24.10",
            "mode": mode,
            "layers": layers,
            "vars": fleet.site_vars(site),
            "clusters": clusters,
            "external": external,
        },
    })
}

fn layer_object(name: &str, vars: Value) -> Value {
    json!({
        "apiVersion": "dpu-render.dev/v1alpha1",
        "kind": "Layer",
        "metadata": {"name": name},
        "spec": {"destination": "clusters", "vars": vars},
    })
}

/// Says where an object goes.
fn send(object: &mut Value, destination: &str) {
    merge(object, &json!({"metadata": {"annotations": {"dpu-render.dev/destination": destination}}}));
}

fn by_kind(objects: &[Value]) -> BTreeMap<String, Vec<&Value>> {
    let mut kinds: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for object in objects {
        kinds.entry(id(object).0.to_lowercase()).or_default().push(object);
    }
    kinds
}

/// Returns the text of a stream of documents.
pub(crate) fn stream<'v>(objects: impl IntoIterator<Item = &'v Value>) -> String {
    let mut text = String::new();
    for object in objects {
        text.push_str("---\n");
        yaml::emit(object, &mut text);
    }
    text
}
