//! The fleet as a model: 40 objects per cluster in three layers, and what each site and cluster sets. Every form and the
//! expected objects are made from it, so that all of them mean the same. PURE.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::yaml;

/// Objects that cannot be left out: what reads the cluster or the site, what a site changes, and the layers' own.
const LEAST_OBJECTS: usize = 15;

/// Names of the overlays; sites take them in turn.
pub(crate) const OVERLAYS: [&str; 2] = ["hbn", "hbn-ovn"];

const BASE: &str = include_str!("data/base.yaml");
const OVERLAY: [&str; 2] = [include_str!("data/overlay-hbn.yaml"), include_str!("data/overlay-hbn-ovn.yaml")];
const SITE: &str = include_str!("data/site.yaml");

/// Values by the name an expression uses: `vars.asn`, `cluster.name`, `site.name`.
pub(crate) type Scope = BTreeMap<String, Value>;

/// How many of everything, and the layers that all sites share.
pub(crate) struct Fleet {
    pub(crate) sites: usize,
    pub(crate) clusters: usize,
    pub(crate) base: Vec<Value>,
    pub(crate) overlays: [Layer; 2],
}

/// What a layer changes in those below it, and what it adds.
pub(crate) struct Layer {
    pub(crate) changes: Vec<Value>,
    pub(crate) own: Vec<Value>,
}

/// Who decides a value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reads {
    Nothing,
    Site,
    Cluster,
}

impl Fleet {
    /// Reads the data and sizes the base so that every cluster has `objects` objects.
    pub(crate) fn new(sites: usize, clusters: usize, objects: usize) -> Result<Self, String> {
        if objects < LEAST_OBJECTS {
            return Err(format!("at least {LEAST_OBJECTS} objects per cluster"));
        }
        if sites * clusters > 32_768 {
            return Err("at most 32768 clusters: their address plan has no more".to_owned());
        }
        let mut base = yaml::parse(BASE)?;
        let mut overlays = [layer(&base, OVERLAY[0])?, layer(&base, OVERLAY[1])?];
        let added = overlays[0].own.len() + layer(&base, &SITE.replace("@site@", "0"))?.own.len();
        resize(&mut base, objects - added);
        for overlay in &mut overlays {
            overlay.changes.retain(|change| base.iter().any(|object| id(object) == id(change)));
        }
        Ok(Self { sites, clusters, base, overlays })
    }

    /// Returns what site number `site` changes and adds.
    pub(crate) fn site_layer(&self, site: usize) -> Result<Layer, String> {
        layer(&self.base, &SITE.replace("@site@", &format!("{site:03}")))
    }

    /// Returns the overlay of a site.
    pub(crate) fn overlay(&self, site: usize) -> (&'static str, &Layer) {
        let turn = site % OVERLAYS.len();
        (OVERLAYS[turn], &self.overlays[turn])
    }

    /// Returns the objects of every cluster of a site, before their expressions are evaluated.
    pub(crate) fn merged(&self, site: usize) -> Result<Vec<Value>, String> {
        let (_, overlay) = self.overlay(site);
        let own = self.site_layer(site)?;
        let mut objects = self.base.clone();
        for layer in [overlay, &own] {
            for change in &layer.changes {
                if let Some(object) = objects.iter_mut().find(|object| id(object) == id(change)) {
                    merge(object, change);
                }
            }
            objects.extend(layer.own.iter().cloned());
        }
        Ok(objects)
    }

    /// Returns the variables that a site sets.
    pub(crate) fn site_vars(&self, site: usize) -> Map<String, Value> {
        let regions = ["eu-north", "eu-west", "us-east", "us-west", "ap-south"];
        let vars = json!({"region": regions[site % regions.len()], "mtu": 9000 - 4 * (site as u64 % 100)});
        vars.as_object().cloned().unwrap_or_default()
    }

    /// Returns the variables that a cluster sets.
    pub(crate) fn cluster_vars(&self, site: usize, cluster: usize) -> Map<String, Value> {
        let number = site * self.clusters + cluster;
        let (high, low) = (number / 256, number % 256);
        let vars = json!({
            "asn": 64_512 + number as u64 % 1_000,
            "podSubnet": format!("10.{}.{low}.0/24", 128 + high),
            "podGateway": format!("10.{}.{low}.1", 128 + high),
            "loopbackCIDR": format!("11.{high}.{low}.0/24"),
            "vip": format!("192.168.{high}.{low}"),
        });
        vars.as_object().cloned().unwrap_or_default()
    }

    /// Returns all that an expression in an object of this cluster can read.
    pub(crate) fn scope(&self, site: usize, cluster: usize) -> Scope {
        let vars = self.site_vars(site).into_iter().chain(self.cluster_vars(site, cluster));
        let mut scope: Scope = vars.map(|(name, value)| (format!("vars.{name}"), value)).collect();
        scope.insert("site.name".to_owned(), site_name(site).into());
        scope.insert("cluster.name".to_owned(), cluster_name(site, cluster).into());
        scope
    }
}

pub(crate) fn site_name(site: usize) -> String {
    format!("site-{site:03}")
}

pub(crate) fn cluster_name(site: usize, cluster: usize) -> String {
    format!("dpu-{site:03}-{cluster:02}")
}

/// Returns what tells an object from the others.
pub(crate) fn id(object: &Value) -> (&str, &str) {
    (object["kind"].as_str().unwrap_or_default(), object["metadata"]["name"].as_str().unwrap_or_default())
}

fn layer(base: &[Value], text: &str) -> Result<Layer, String> {
    let known = |object: &Value| base.iter().any(|other| id(other) == id(object));
    let (changes, own) = yaml::parse(text)?.into_iter().partition(known);
    Ok(Layer { changes, own })
}

/// Cuts the shared objects at the end off, or repeats the ConfigMaps among them under other names.
fn resize(base: &mut Vec<Value>, size: usize) {
    let pattern: Vec<Value> = base.iter().rev().filter(|object| id(object).0 == "ConfigMap").take(2).cloned().collect();
    base.truncate(size);
    for number in base.len()..size {
        let mut copy = pattern[number % pattern.len()].clone();
        copy["metadata"]["name"] = format!("{}-{number}", id(&copy).1).into();
        base.push(copy);
    }
}

/// Merges `new` over `old`: maps deeply, lists of named members by their name, everything else replaced.
pub(crate) fn merge(old: &mut Value, new: &Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                merge(old.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(old), Value::Array(new)) if new.iter().all(|item| item["name"].is_string()) => {
            for item in new {
                match old.iter_mut().find(|other| other["name"] == item["name"]) {
                    Some(other) => merge(other, item),
                    None => old.push(item.clone()),
                }
            }
        }
        (old, new) => *old = new.clone(),
    }
}

/// Returns `value` with every expression replaced by what the scope has for it.
pub(crate) fn evaluate(value: &Value, scope: &Scope) -> Value {
    map_text(value, &mut |text| {
        if let Some(name) = whole(text) {
            return scope.get(name).cloned().unwrap_or(Value::Null);
        }
        let mut out = String::new();
        for part in parts(text) {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Name(name) => match scope.get(name) {
                    Some(Value::String(text)) => out.push_str(text),
                    Some(value) => out.push_str(&value.to_string()),
                    None => {}
                },
            }
        }
        out.into()
    })
}

/// Returns `value` with every text replaced.
pub(crate) fn map_text(value: &Value, replace: &mut impl FnMut(&str) -> Value) -> Value {
    match value {
        Value::String(text) => replace(text),
        Value::Array(items) => items.iter().map(|item| map_text(item, replace)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, item)| (key.clone(), map_text(item, replace))).collect())
        }
        other => other.clone(),
    }
}

/// Returns the part of an object that reads `reads`, with what names the object: a patch.
pub(crate) fn project(object: &Value, reads: Reads) -> Option<Value> {
    let mut patch = leaves(object, reads)?;
    merge(&mut patch, &identity(object));
    Some(patch)
}

fn identity(object: &Value) -> Value {
    let mut metadata = object["metadata"].clone();
    if let Value::Object(metadata) = &mut metadata {
        metadata.retain(|key, _| key == "name" || key == "namespace");
    }
    json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": metadata})
}

fn leaves(value: &Value, reads: Reads) -> Option<Value> {
    match value {
        Value::String(text) if text_reads(text) == reads => Some(value.clone()),
        Value::Object(map) => {
            let kept: Map<String, Value> =
                map.iter().filter_map(|(key, item)| Some((key.clone(), leaves(item, reads)?))).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        _ => None,
    }
}

fn text_reads(text: &str) -> Reads {
    let name_reads = |part| match part {
        Part::Text(_) => Reads::Nothing,
        Part::Name("site.name" | "vars.region" | "vars.mtu") => Reads::Site,
        Part::Name(_) => Reads::Cluster,
    };
    parts(text).into_iter().map(name_reads).max().unwrap_or(Reads::Nothing)
}

/// A piece of a text with expressions in it.
pub(crate) enum Part<'t> {
    Text(&'t str),
    Name(&'t str),
}

/// Takes a text apart at its expressions.
pub(crate) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        let Some((name, tail)) = after.split_once("}}") else { break };
        parts.push(Part::Text(before));
        parts.push(Part::Name(name.trim()));
        rest = tail;
    }
    parts.push(Part::Text(rest));
    parts
}

/// Returns the name in a text that is nothing but one expression.
pub(crate) fn whole(text: &str) -> Option<&str> {
    match parts(text)[..] {
        [Part::Text(""), Part::Name(name), Part::Text("")] => Some(name),
        _ => None,
    }
}
