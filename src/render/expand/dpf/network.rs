//! The network annotation of a service's pods. PURE.
//!
//! In: the networks that a service's interfaces ask for, the annotation that the user wrote, and what chains give them as
//! `cni-args`. Out: one annotation, byte for byte as Go writes it. Mirrors `internal/dpuservice/utils` (the network
//! selection elements) and, for `cni-args`, `internal/podipaminjector`, release v24.10.0-rc.6.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

/// `cni-args` by the interface they are for.
pub(super) type CniArgs = BTreeMap<String, Json>;

/// One network of a pod. What is empty is not written, `name` and `cni-args` aside.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) interface: String,
    pub(super) cni_args: Option<Map<String, Json>>,
    ips: Vec<String>,
    mac: String,
    infiniband_guid: String,
    interface_request: String,
    port_mappings: Vec<PortMapping>,
    bandwidth: Option<[i64; 4]>,
    device_id: String,
    default_route: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct PortMapping {
    host_port: i64,
    container_port: i64,
    protocol: String,
    host_ip: String,
}

const BANDWIDTH: [&str; 4] = ["ingressRate", "ingressBurst", "egressRate", "egressBurst"];

impl Element {
    /// The network that an interface asks for: `name` or `namespace/name`. Anything else has no name, as upstream has it.
    pub(super) fn of_interface(network: &str, interface: &str) -> Self {
        let (namespace, name) = split(network).unwrap_or_default();
        Self { name: name.into(), namespace: namespace.into(), interface: interface.into(), ..Self::default() }
    }

    /// `self` with every member of `existing` that is not empty.
    fn overlaid(&self, existing: &Self) -> Self {
        fn text(existing: &str, own: &str) -> String {
            if existing.is_empty() { own.to_owned() } else { existing.to_owned() }
        }
        Self {
            name: text(&existing.name, &self.name),
            namespace: text(&existing.namespace, &self.namespace),
            interface: text(&existing.interface, &self.interface),
            // An empty object counts: it resets what was generated.
            cni_args: existing.cni_args.clone().or_else(|| self.cni_args.clone()),
            ..existing.clone()
        }
    }

    fn of_json(json: &Json) -> Option<Self> {
        let object = json.as_object()?;
        // Go matches keys whatever their case, and takes null for absent.
        let get = |key: &str| {
            let found = object
                .get(key)
                .or_else(|| object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value));
            found.filter(|value| !value.is_null())
        };
        let text = |key: &str| get(key).map_or(Some(String::new()), |value| value.as_str().map(str::to_owned));
        let texts = |key: &str| match get(key) {
            None => Some(Vec::new()),
            Some(value) => value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        };
        let cni_args = match get("cni-args") {
            None => None,
            Some(value) => Some(value.as_object()?.clone()),
        };
        let port_mappings = match get("portMappings") {
            None => Vec::new(),
            Some(value) => value.as_array()?.iter().map(PortMapping::of_json).collect::<Option<_>>()?,
        };
        let bandwidth = match get("bandwidth") {
            None => None,
            Some(value) => {
                let object = value.as_object()?;
                let mut rates = [0; 4];
                for (rate, key) in rates.iter_mut().zip(BANDWIDTH) {
                    *rate = object.get(key).map_or(Some(0), Json::as_i64)?;
                }
                Some(rates)
            }
        };
        Some(Self {
            name: text("name")?,
            namespace: text("namespace")?,
            interface: text("interface")?,
            cni_args,
            ips: texts("ips")?,
            mac: text("mac")?,
            infiniband_guid: text("infiniband-guid")?,
            interface_request: text("interfaceRequest")?,
            port_mappings,
            bandwidth,
            device_id: text("deviceID")?,
            default_route: texts("default-route")?,
        })
    }

    fn write(&self, out: &mut String) {
        out.push_str("{\"name\":");
        string(out, &self.name);
        let mut member = |key: &str, value: &str| {
            if !value.is_empty() {
                let _ = write!(out, ",\"{key}\":{value}");
            }
        };
        let text = |value: &str| if value.is_empty() { String::new() } else { quoted(value) };
        let texts = |values: &[String]| {
            let items: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            if items.is_empty() { String::new() } else { format!("[{}]", items.join(",")) }
        };
        member("namespace", &text(&self.namespace));
        member("ips", &texts(&self.ips));
        member("mac", &text(&self.mac));
        member("infiniband-guid", &text(&self.infiniband_guid));
        member("interface", &text(&self.interface));
        member("interfaceRequest", &text(&self.interface_request));
        if !self.port_mappings.is_empty() {
            let items: Vec<String> = self.port_mappings.iter().map(PortMapping::to_json).collect();
            member("portMappings", &format!("[{}]", items.join(",")));
        }
        if let Some(rates) = &self.bandwidth {
            let items: Vec<String> =
                BANDWIDTH.iter().zip(rates).map(|(key, rate)| format!("\"{key}\":{rate}")).collect();
            member("bandwidth", &format!("{{{}}}", items.join(",")));
        }
        member("deviceID", &text(&self.device_id));
        member("cni-args", &self.cni_args.as_ref().map_or_else(|| "null".to_owned(), object));
        member("default-route", &texts(&self.default_route));
        out.push('}');
    }
}

impl PortMapping {
    fn of_json(json: &Json) -> Option<Self> {
        let object = json.as_object()?;
        let number = |key: &str| object.get(key).map_or(Some(0), Json::as_i64);
        let text = |key: &str| object.get(key).map_or(Some(String::new()), |value| value.as_str().map(str::to_owned));
        Some(Self {
            host_port: number("hostPort")?,
            container_port: number("containerPort")?,
            protocol: text("protocol")?,
            host_ip: text("hostIP")?,
        })
    }

    fn to_json(&self) -> String {
        let mut out = format!("{{\"hostPort\":{},\"containerPort\":{}", self.host_port, self.container_port);
        for (key, value) in [("protocol", &self.protocol), ("hostIP", &self.host_ip)] {
            if !value.is_empty() {
                let _ = write!(out, ",\"{key}\":{}", quoted(value));
            }
        }
        out.push('}');
        out
    }
}

/// Namespace (perhaps empty) and name of a network.
pub(super) fn split(network: &str) -> Option<(&str, &str)> {
    let (namespace, name) = network.split_once('/').unwrap_or(("", network));
    (!name.is_empty() && !name.contains('/')).then_some((namespace, name))
}

/// The elements of an annotation; nothing where it is no JSON list of networks.
pub(super) fn parse(annotation: &str) -> Option<Vec<Element>> {
    match serde_json::from_str(annotation).ok()? {
        Json::Array(items) => items.iter().map(Element::of_json).collect(),
        // Go reads `null` as an empty list.
        Json::Null => Some(Vec::new()),
        _ => None,
    }
}

/// The user's elements over the generated ones of the same interface, and the generated ones left, in order of name and
/// interface. Chains have the last word on `cni-args`, as the pod IPAM injector has at run time.
pub(super) fn merge(existing: &[Element], generated: &[Element], args: &CniArgs) -> Vec<Element> {
    // Of two generated elements with one interface the later stays.
    let by_interface: BTreeMap<&str, &Element> =
        generated.iter().map(|element| (element.interface.as_str(), element)).collect();
    let mut left = by_interface.clone();
    let mut merged: Vec<Element> = Vec::with_capacity(existing.len() + generated.len());
    for element in existing {
        merged.push(match by_interface.get(element.interface.as_str()) {
            Some(generated) => {
                left.remove(element.interface.as_str());
                generated.overlaid(element)
            }
            None => element.clone(),
        });
    }
    merged.extend(left.into_values().cloned());
    for element in &mut merged {
        if let Some(args) = args.get(&element.interface) {
            element.cni_args = args.as_object().cloned();
        }
    }
    // Upstream leaves the order of equal keys to chance; the namespace decides here.
    merged.sort_by(|a, b| (&a.name, &a.interface, &a.namespace).cmp(&(&b.name, &b.interface, &b.namespace)));
    merged
}

/// The annotation of these elements.
pub(super) fn to_annotation(elements: &[Element]) -> String {
    let mut out = String::from("[");
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        element.write(&mut out);
    }
    out.push(']');
    out
}

fn object(map: &Map<String, Json>) -> String {
    let mut out = String::new();
    json(&mut out, &Json::Object(map.clone()));
    out
}

/// Compact JSON as Go's `encoding/json` writes it: keys sorted, `<`, `>` and `&` escaped.
fn json(out: &mut String, value: &Json) {
    match value {
        Json::String(text) => string(out, text),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                json(out, item);
            }
            out.push(']');
        }
        Json::Object(map) => {
            let sorted: BTreeMap<&String, &Json> = map.iter().collect();
            out.push('{');
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                string(out, key);
                out.push(':');
                json(out, item);
            }
            out.push('}');
        }
        // Go decodes every number here into a double: what is whole is written without a point.
        Json::Number(number) => {
            let whole = number.as_f64().filter(|value| value.fract() == 0.0 && value.abs() < 1e15);
            let _ = match whole {
                Some(value) => write!(out, "{value:.0}"),
                None => write!(out, "{number}"),
            };
        }
        Json::Null | Json::Bool(_) => {
            let _ = write!(out, "{value}");
        }
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    string(&mut out, text);
    out
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SFC: &str = "my-namespace/mybrsfc";

    fn rewritten(generated: &[(&str, &str)], existing: &str) -> String {
        let generated: Vec<Element> =
            generated.iter().map(|(network, interface)| Element::of_interface(network, interface)).collect();
        to_annotation(&merge(&parse(existing).unwrap(), &generated, &CniArgs::new()))
    }

    const NET1: &str = r#"{"name":"mybrsfc","namespace":"my-namespace","interface":"net1","cni-args":null}"#;

    #[test]
    fn generated_and_existing_elements_are_joined() {
        assert_eq!(rewritten(&[(SFC, "net1")], "[]"), format!("[{NET1}]"));
        let same = r#"[{"name":"mybrsfc","namespace":"my-namespace","interface":"net1"}]"#;
        assert_eq!(rewritten(&[(SFC, "net1")], same), format!("[{NET1}]"));
        let args = r#"{"name":"iprequest","interface":"myip1","cni-args":{"poolType":"cidrpool","allocateDefaultGateway":true,"poolNames":["pool1"]}}"#;
        let sorted = r#"{"name":"iprequest","interface":"myip1","cni-args":{"allocateDefaultGateway":true,"poolNames":["pool1"],"poolType":"cidrpool"}}"#;
        assert_eq!(rewritten(&[(SFC, "net1")], &format!("[{args}]")), format!("[{sorted},{NET1}]"));
        // The user's name wins, the namespace it lacks is filled in.
        let other = r#"[{"name":"other","interface":"net1"}]"#;
        assert_eq!(rewritten(&[(SFC, "net1")], other), format!("[{}]", NET1.replace("mybrsfc", "other")));
    }

    #[test]
    fn arguments_are_filled_in_reset_or_given_by_a_chain() {
        let mut generated = Element::of_interface("my-namespace/myotherbrsfc", "net1");
        generated.cni_args = json!({"allocateDefaultGateway": true}).as_object().cloned();
        let existing = parse(r#"[{"name":"mybrsfc","namespace":"my-namespace","interface":"net1"}]"#).unwrap();
        let merged = to_annotation(&merge(&existing, std::slice::from_ref(&generated), &CniArgs::new()));
        assert_eq!(merged, format!("[{}]", NET1.replace("null", r#"{"allocateDefaultGateway":true}"#)));
        let reset =
            parse(r#"[{"name":"mybrsfc","namespace":"my-namespace","interface":"net1","cni-args":{}}]"#).unwrap();
        let merged = to_annotation(&merge(&reset, &[generated], &CniArgs::new()));
        assert_eq!(merged, format!("[{}]", NET1.replace("null", "{}")));
        let args = CniArgs::from([("net1".to_owned(), json!({"poolType": "ippool", "poolNames": ["p"]}))]);
        let merged = to_annotation(&merge(&reset, &[], &args));
        assert_eq!(merged, format!("[{}]", NET1.replace("null", r#"{"poolNames":["p"],"poolType":"ippool"}"#)));
    }

    #[test]
    fn the_order_is_name_then_interface() {
        let existing = r#"[{"name":"mybrsfc","namespace":"my-namespace","interface":"net1"}]"#;
        let of = |name: &str, interface: &str| NET1.replace("mybrsfc", name).replace("net1", interface);
        assert_eq!(
            rewritten(&[("my-namespace/mybrsfc1", "net2")], existing),
            format!("[{NET1},{}]", of("mybrsfc1", "net2"))
        );
        assert_eq!(
            rewritten(&[(SFC, "net3"), (SFC, "net2")], existing),
            format!("[{NET1},{},{}]", of("mybrsfc", "net2"), of("mybrsfc", "net3"))
        );
    }

    #[test]
    fn only_json_lists_of_objects_are_read() {
        assert_eq!(parse("mybrsfc@net5"), None);
        assert_eq!(parse(r#"["a"]"#), None);
        assert_eq!(parse(r#"{"name":"a"}"#), None);
        assert_eq!(parse(r#"[{"name":1}]"#), None);
    }

    #[test]
    fn what_go_completes_escapes_and_drops() {
        let existing = r#"[{"name":"n","interface":"net7","custom":1,"bandwidth":{"ingressRate":1000},"portMappings":[{"hostPort":80,"containerPort":8080}],"cni-args":{"z":1.0,"a":{"d":"<x & y>"}}}]"#;
        let expected = r#"[{"name":"n","interface":"net7","portMappings":[{"hostPort":80,"containerPort":8080}],"bandwidth":{"ingressRate":1000,"ingressBurst":0,"egressRate":0,"egressBurst":0},"cni-args":{"a":{"d":"\u003cx \u0026 y\u003e"},"z":1}}]"#;
        assert_eq!(rewritten(&[], existing), expected);
    }

    #[test]
    fn a_network_has_at_most_one_slash() {
        assert_eq!(split("mybrsfc"), Some(("", "mybrsfc")));
        assert_eq!(split("my-namespace/mybrsfc"), Some(("my-namespace", "mybrsfc")));
        assert_eq!((split("a/b/c"), split(""), split("a/")), (None, None, None));
    }
}
