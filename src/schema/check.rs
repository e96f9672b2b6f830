//! One object against the schema of its kind. PURE.
//!
//! In: an object, a release. Out: a diagnostic per fault, with its place, the release that has the field, and the nearest
//! name. What the API server does in its order is kept: nulls and unknown fields go, defaults come, then values are checked,
//! and rules over several fields only where nothing else is wrong.

mod message;

use std::net::Ipv4Addr;

use crate::diagnostic::{Diagnostic, MOST_ALIKE, Severity, nearest};
use crate::node::{EXPRESSION, Map, Node, Value};
use crate::schema::table::{Line, ListKey, Schema, Type};
use crate::schema::{Schemas, cel, metadata};
use crate::site::{GROUP, Release};
use crate::source::Origin;
use message::{Path, Step, excerpt, releases};

/// What is said about a field that is required without being named.
static ANY: Schema = Schema::of(Type::Any);

/// Whether a group is DPF's: its kinds must be known.
fn is_dpf(group: &str) -> bool {
    group == "dpu.nvidia.com" || group.ends_with(".dpu.nvidia.com")
}

pub(super) fn object(schemas: &Schemas, object: &Node, release: Release, parity: bool, out: &mut Vec<Diagnostic>) {
    let Some(map) = object.as_map() else {
        let message = format!("an object of Kubernetes is a map, this is {}", object.kind());
        out.push(Diagnostic::error("wrong-type", object.origin(), message));
        return;
    };
    let api_version = object.text(&["apiVersion"]).unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = object.text(&["kind"]).unwrap_or_default();
    if group == GROUP {
        return;
    }
    let line = schemas.find(group, version, kind, release);
    let errors = |out: &[Diagnostic]| out.iter().filter(|fault| fault.severity == Severity::Error).count();
    let before = errors(out);
    let mut check = Check { schemas, object, kind, line, release, parity, out, unknown: 0 };
    check.identity(map);
    if [api_version, kind].iter().any(|text| text.is_empty() || text.contains(EXPRESSION)) {
        return;
    }
    let Some(line) = line else {
        if is_dpf(group) {
            check.unknown_kind(group, version);
        } else if let Some(schema) = metadata::of_kubernetes(group, kind) {
            check.fields(schema, object, map, &Path::ROOT, &["apiVersion", "kind", "metadata"]);
        }
        return;
    };
    let schema = schemas.schema(line);
    let root = Path::ROOT;
    check.fields(schema, object, map, &root, &["apiVersion", "kind", "metadata", "status"]);
    if schema.has_rules && errors(check.out) == before {
        check.rules(schema, object, &root);
    }
}

struct Check<'a> {
    schemas: &'a Schemas,
    object: &'a Node,
    kind: &'a str,
    line: Option<&'a Line>,
    release: Release,
    parity: bool,
    out: &'a mut Vec<Diagnostic>,
    /// Unknown fields so far.
    unknown: usize,
}

impl Check<'_> {
    /// `apiVersion`, `kind` and `metadata`.
    fn identity(&mut self, map: &Map) {
        static STRING: Schema = Schema::of(Type::String);
        for name in ["apiVersion", "kind"] {
            match map.get(name) {
                None => self.missing(&STRING, self.object.origin(), &Path::ROOT.field(name)),
                Some(node) => self.value(&STRING, node, &Path::ROOT.field(name)),
            }
        }
        let schema = metadata::schema();
        match map.get("metadata") {
            None => self.missing(schema, self.object.origin(), &Path::ROOT.field("metadata")),
            Some(node) => self.value(schema, node, &Path::ROOT.field("metadata")),
        }
    }

    /// A value that is there.
    fn value(&mut self, schema: &Schema, node: &Node, path: &Path<'_>) {
        match (schema.kind, node.value()) {
            (_, Value::Str(_)) if node.has_expression() => return,
            (Type::Any, _) => {}
            (_, Value::Null) if schema.nullable => return,
            // Where a field may be left out, `fields` has dealt with the null.
            (_, Value::Null) => return self.null(schema, node.origin(), path, false),
            (Type::Object, Value::Map(map)) => {
                self.count("field", "fields", map.len(), schema, node, path);
                self.fields(schema, node, map, path, &[]);
            }
            (Type::Array, Value::List(items)) => {
                self.count("item", "items", items.len(), schema, node, path);
                if let Some(of_items) = &schema.items {
                    for (index, item) in items.iter().enumerate() {
                        self.value(of_items, item, &path.item(index));
                    }
                }
                if let Some(key) = &schema.list_key {
                    self.unique(key, items, path);
                }
            }
            (Type::String | Type::IntOrString, Value::Str(text)) => self.text(schema, text, node, path),
            (Type::Boolean, Value::Bool(_)) => {}
            (Type::Number, Value::Number(_)) => self.range(schema, node, path),
            (Type::Integer | Type::IntOrString, Value::Number(number))
                if !number.is_f64() || number.as_f64().is_some_and(|value| value.fract() == 0.0) =>
            {
                self.range(schema, node, path);
            }
            _ => return self.wrong_type(schema, node, path),
        }
        if !schema.allowed.is_empty() && !schema.allowed.contains(node) {
            self.not_allowed(schema, node, path);
        }
    }

    /// The fields of a map. Those in `elsewhere` are checked by others.
    fn fields(&mut self, schema: &Schema, node: &Node, map: &Map, path: &Path<'_>, elsewhere: &[&str]) {
        for entry in map.entries() {
            let name = &*entry.key.text;
            if elsewhere.contains(&name) {
                continue;
            }
            let path = &path.field(name);
            if let Some(field) = schema.property(name) {
                let may_be_null = !entry.value.is_null() || field.nullable || field.kind == Type::Any;
                if may_be_null {
                    self.value(field, &entry.value, path);
                } else {
                    // Dropped by the API server, which then misses it or fills in the default.
                    let dropped = field.default.is_some() || !schema.required.iter().any(|other| **other == *name);
                    self.null(field, entry.value.origin(), path, dropped);
                }
            } else if let Some(field) = &schema.additional {
                self.value(field, &entry.value, path);
            } else if !schema.open && !name.contains(EXPRESSION) {
                self.unknown_field(schema, entry.key.origin, path, name);
            }
        }
        for name in &schema.required {
            if map.get(name).is_none()
                && !map.iter().any(|(key, _)| key.contains(EXPRESSION))
                && schema.property(name).is_none_or(|field| field.default.is_none())
                && !elsewhere.contains(&&**name)
            {
                let field = schema.property(name).map_or(&ANY, |field| field);
                self.missing(field, node.origin(), &path.field(name));
            }
        }
    }

    fn text(&mut self, schema: &Schema, text: &str, node: &Node, path: &Path<'_>) {
        // Only lengths need the count; most strings have none.
        if schema.min_len.is_some() || schema.max_len.is_some() {
            let len = text.chars().count();
            let limit = match (schema.min_len, schema.max_len) {
                (Some(min), _) if len < min => Some(("at least", min)),
                (_, Some(max)) if len > max => Some(("at most", max)),
                _ => None,
            };
            if let Some((word, limit)) = limit {
                let what = if len == 0 { "is empty".to_owned() } else { format!("is {len} characters long") };
                let unit = if limit == 1 { "character" } else { "characters" };
                let message = format!("{} {what}, it must have {word} {limit} {unit}", self.of(path));
                self.out.push(Diagnostic::error("value-length", node.origin(), message));
            }
        }
        if let Some(pattern) = &schema.pattern
            && !pattern.matches(text)
        {
            let message = format!("{} is `{}`, which is not of the form required", self.of(path), excerpt(text));
            let fault = Diagnostic::error("value-pattern", node.origin(), message);
            self.out.push(fault.label("does not match").note(format!("it must match `{}`", pattern.text)));
        }
        if schema.format.as_deref() == Some("ipv4") && text.parse::<Ipv4Addr>().is_err() {
            let message = format!("{} is `{}`, which is no IPv4 address", self.of(path), excerpt(text));
            self.out.push(Diagnostic::error("value-format", node.origin(), message));
        }
    }

    fn range(&mut self, schema: &Schema, node: &Node, path: &Path<'_>) {
        let Value::Number(number) = node.value() else { return };
        let Some(value) = number.as_f64() else { return };
        // The API server checks an int32 without limits of its own against those of the type.
        let (least, greatest) = match schema.format.as_deref() {
            Some("int32") => (Some(f64::from(i32::MIN)), Some(f64::from(i32::MAX))),
            _ => (None, None),
        };
        let message = match (schema.minimum.or(least), schema.maximum.or(greatest)) {
            (Some(least), _) if value < least => format!("is {number}, the least is {least}"),
            (_, Some(greatest)) if value > greatest => format!("is {number}, the greatest is {greatest}"),
            _ => return,
        };
        self.out.push(Diagnostic::error("value-range", node.origin(), format!("{} {message}", self.of(path))));
    }

    fn count(&mut self, one: &str, many: &str, count: usize, schema: &Schema, node: &Node, path: &Path<'_>) {
        let (code, word, limit) = match (schema.min_len, schema.max_len) {
            (Some(min), _) if count < min => ("too-few-items", "least", min),
            (_, Some(max)) if count > max => ("too-many-items", "most", max),
            _ => return,
        };
        let unit = |count| if count == 1 { one } else { many };
        let (of, has, wanted) = (self.of(path), unit(count), unit(limit));
        let message = format!("{of} has {count} {has}, it must have at {word} {limit} {wanted}");
        self.out.push(Diagnostic::error(code, node.origin(), message));
    }

    /// Items that must differ. Lists are short; those of thousands are compared through their sorted keys.
    fn unique(&mut self, key: &ListKey, items: &[Node], path: &Path<'_>) {
        let key_of = |item: &Node| match key {
            ListKey::Set => (!item.has_expression()).then(|| item.to_json().to_string()),
            ListKey::Fields(fields) => {
                let fields: Vec<&Node> = fields.iter().filter_map(|field| item.get(field)).collect();
                let known = !fields.is_empty() && fields.iter().all(|field| !field.has_expression());
                known.then(|| fields.iter().map(|field| format!("{} ", field.to_json())).collect())
            }
        };
        let mut seen: std::collections::BTreeMap<String, &Node> = std::collections::BTreeMap::new();
        for item in items {
            let Some(key_text) = key_of(item) else { continue };
            if let Some(first) = seen.get(&key_text) {
                let by = match key {
                    ListKey::Set => String::new(),
                    ListKey::Fields(fields) => format!(" by {}", message::ticked(fields.iter().map(String::as_str))),
                };
                let message = format!("{} has an item twice{by}: {}", self.of(path), excerpt(key_text.trim_end()));
                let fault = Diagnostic::error("duplicate-item", item.origin(), message);
                self.out.push(fault.note_at("first here", first.origin()));
            } else {
                seen.insert(key_text, item);
            }
        }
    }

    fn rules(&mut self, schema: &Schema, node: &Node, path: &Path<'_>) {
        if !schema.has_rules {
            return;
        }
        for rule in schema.rules.iter().filter(|rule| rule.is_static()) {
            if rule.expression().and_then(|rule| cel::holds(rule, node, schema)) == Some(false) {
                let place = if path.is_root() { self.subject() } else { self.of(path) };
                let message = format!("{place} breaks a rule of its kind{}", self.in_release());
                let fault = Diagnostic::error("schema-rule", node.origin(), message);
                self.out.push(match &*rule.message {
                    "" => fault.label("the rule is not met").note(format!("the rule: {}", rule.text)),
                    message => fault.label(message).note(format!("the rule: {}", rule.text)),
                });
            }
        }
        match node.value() {
            Value::Map(map) => {
                for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
                    if let Some(field) = schema.field(name) {
                        self.rules(field, value, &path.field(name));
                    }
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some(of_items) = &schema.items {
                        self.rules(of_items, item, &path.item(index));
                    }
                }
            }
            _ => {}
        }
    }

    fn unknown_kind(&mut self, group: &str, version: &str) {
        let kind = self.kind;
        let origin = self.object.get("kind").map_or(self.object.origin(), Node::origin);
        let message = format!("{} has no kind `{kind}` in `{group}/{version}`", self.release);
        let fault = Diagnostic::error("unknown-kind", origin, message).label("unknown kind");
        let of_group = || self.schemas.lines().filter(|line| &*line.group == group && line.is_of(self.release));
        let named = || self.schemas.lines().filter(|line| &*line.kind == kind && is_dpf(&line.group));
        let fault = if let Some(line) = named().find(|line| line.is_of(self.release)) {
            fault.help(format!("write `apiVersion: {}/{}`", line.group, line.version))
        } else if named().next().is_some() {
            let having = |release: &Release| named().any(|line| line.is_of(*release));
            fault.note(format!("it is a kind of DPF {}", releases(having)))
        } else if let Some(near) = nearest(kind, of_group().map(|line| &*line.kind)) {
            fault.help(format!("did you mean `{near}`?"))
        } else if of_group().next().is_some() {
            let kinds: std::collections::BTreeSet<&str> = of_group().map(|line| &*line.kind).collect();
            fault.help(format!("kinds of `{group}`: {}", message::ticked(kinds)))
        } else {
            let groups = self.schemas.lines().filter(|line| is_dpf(&line.group) && line.is_of(self.release));
            let groups: std::collections::BTreeSet<&str> = groups.map(|line| &*line.group).collect();
            fault.help(format!("groups of DPF: {}", message::ticked(groups)))
        };
        self.out.push(fault);
    }

    fn unknown_field(&mut self, schema: &Schema, origin: Origin, path: &Path<'_>, name: &str) {
        // More than are told need not be looked into.
        self.unknown += 1;
        if self.unknown > MOST_ALIKE + 1 {
            return;
        }
        let message = format!("{} has no field `{path}`{}", self.subject(), self.in_release());
        let fault = self.dropped(Diagnostic::error("unknown-field", origin, message).label("unknown field"));
        let fault = self.elsewhere(fault, path, "it is a field", |_| true);
        let fields = || schema.properties.iter().map(|(name, _)| &**name);
        let fault = match nearest(name, fields()) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None if schema.properties.is_empty() => fault.help("it takes no fields: write `{}`"),
            None if schema.properties.len() <= 16 => {
                fault.help(format!("fields that are known here: {}", message::ticked(fields())))
            }
            None => fault,
        };
        self.out.push(fault);
    }

    fn missing(&mut self, schema: &Schema, origin: Origin, path: &Path<'_>) {
        let message = format!("{} has no `{path}`, which is required{}", self.subject(), self.in_release());
        let name = path.name();
        let what = match &schema.allowed[..] {
            [] => message::noun(schema.kind).to_owned(),
            allowed => format!("one of {}", message::ticked(allowed.iter().map(message::scalar))),
        };
        let fault = Diagnostic::error("missing-field", origin, message).label(format!("`{name}` is missing here"));
        self.out.push(fault.help(format!("add `{name}`: {what}")));
    }

    fn null(&mut self, schema: &Schema, origin: Origin, path: &Path<'_>, dropped: bool) {
        let message = format!("{} is null, it must be {}", self.of(path), message::noun(schema.kind));
        let fault = Diagnostic::error("null-value", origin, message).label("no value");
        let fault = if dropped {
            self.dropped(fault).help(format!("leave the key out: server-side apply refuses `{}: null`", path.name()))
        } else {
            fault.help(format!("write {}", message::noun(schema.kind)))
        };
        self.out.push(fault);
    }

    fn wrong_type(&mut self, schema: &Schema, node: &Node, path: &Path<'_>) {
        let expected = message::noun(schema.kind);
        let message = format!("{} must be {expected}, this is {}", self.of(path), node.kind());
        let fault = Diagnostic::error("wrong-type", node.origin(), message).label(node.kind());
        let help = match (schema.kind, node.value()) {
            // As it was written: the value was read as 1.1 where people wrote 1.10.
            (Type::String, Value::Bool(_) | Value::Number(_)) => Some("put quotes around it".to_owned()),
            (Type::Integer | Type::Number, Value::Str(text)) if text.parse::<f64>().is_ok() => {
                Some(format!("take the quotes off: `{text}`"))
            }
            (Type::Boolean, Value::Str(text)) if matches!(&**text, "true" | "false") => {
                Some(format!("take the quotes off: `{text}`"))
            }
            (Type::Array, Value::Map(_)) => Some("each item of a list begins with `- `".to_owned()),
            (Type::Array, Value::Str(text)) if !text.contains('\n') => {
                Some(format!("write a list of one item: `[{}]`", excerpt(text)))
            }
            _ => None,
        };
        let fault = self.elsewhere(fault, path, &format!("it is {}", node.kind()), |schema| is_of(schema, node));
        self.out.push(fault.help_if(help));
    }

    fn not_allowed(&mut self, schema: &Schema, node: &Node, path: &Path<'_>) {
        let found = message::scalar(node);
        let allowed: Vec<String> = schema.allowed.iter().map(message::scalar).collect();
        let message = format!("{} cannot be `{}`{}", self.of(path), excerpt(&found), self.in_release());
        let fault = Diagnostic::error("value-not-allowed", node.origin(), message);
        let near = nearest(&found, allowed.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
        let fault = fault.label(format!("allowed: {}", message::ticked(allowed.iter().map(String::as_str))));
        let fault = self.elsewhere(fault, path, "it is a value", |schema| schema.allowed.contains(node));
        self.out.push(fault.help_if(near));
    }

    /// Says which releases of DPF would take what this one does not: `what` and the releases where `fits`.
    fn elsewhere(&self, fault: Diagnostic, path: &Path<'_>, what: &str, fits: impl Fn(&Schema) -> bool) -> Diagnostic {
        let Some(line) = self.line.filter(|line| !line.is_of_all()) else { return fault };
        let steps = path.steps();
        let of_kind = self.schemas.of_kind(&line.group, &line.kind);
        let fitting: Vec<&Line> =
            of_kind.filter(|line| follow(self.schemas.schema(line), &steps).is_some_and(&fits)).collect();
        let having = |release: &Release| fitting.iter().any(|line| line.is_of(*release));
        if Release::ALL.iter().any(having) { fault.note(format!("{what} {}", releases(having))) } else { fault }
    }

    /// What the API server drops without a word is no more than a warning where parity is asked for.
    fn dropped(&self, fault: Diagnostic) -> Diagnostic {
        let severity = if self.parity { Severity::Warning } else { Severity::Error };
        Diagnostic { severity, ..fault }
    }

    /// ``DPUService `apps/web` ``.
    fn subject(&self) -> String {
        message::subject(self.object, self.kind)
    }

    /// `` `spec.mtu` of DPUService `apps/web` ``.
    fn of(&self, path: &Path<'_>) -> String {
        format!("`{path}` of {}", self.subject())
    }

    fn in_release(&self) -> String {
        match self.line {
            Some(line) if !line.is_of_all() => format!(" in {}", self.release),
            _ => String::new(),
        }
    }
}

/// The schema at the end of `steps`.
fn follow<'s>(schema: &'s Schema, steps: &[Step<'_>]) -> Option<&'s Schema> {
    steps.iter().try_fold(schema, |schema, step| match step {
        Step::Item(_) => schema.items.as_deref(),
        Step::Field(name) => schema.field(name).map(|field| &**field),
    })
}

/// Whether a value is of the type that a schema asks for.
fn is_of(schema: &Schema, node: &Node) -> bool {
    match node.value() {
        Value::Null => schema.nullable,
        Value::Bool(_) => schema.kind == Type::Boolean,
        Value::Number(_) => matches!(schema.kind, Type::Integer | Type::Number | Type::IntOrString),
        Value::Str(_) => matches!(schema.kind, Type::String | Type::IntOrString),
        Value::List(_) => schema.kind == Type::Array,
        Value::Map(_) => schema.kind == Type::Object,
    }
}

#[cfg(test)]
mod tests;
