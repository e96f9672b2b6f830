//! Variables and the scopes in which expressions are evaluated. PURE.
//!
//! In: variables of layers, site, clusters, hosts and cards. Out: nodes with their expressions evaluated, or left waiting
//! where they read what a level further in sets. Variables are evaluated when they are first read, once per level on which
//! they can differ; cycles are faults.

mod declare;
mod late;
mod roots;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use late::{Needs, code_needs};
use minijinja::value::Value as Jinja;

use crate::diagnostic::{Diagnostic, nearest};
use crate::node::{EXPRESSION, Entry, Key, Map, Node, Value};
use crate::render::expand::{Evaluate, Scope};
use crate::render::expression::{self, Code, CodeKind, Part, Template, Templates};
use crate::render::filters;
use crate::site::{Dpu, Host, Inventory, Site};
use crate::source::{Origin, SourceTree};

/// Larger results are refused: no API server takes such an object.
const MAX_RESULT_BYTES: usize = filters::MAX_BYTES;
/// What one object may be given of variables, each counted as often as it is named.
const MAX_GIVEN_BYTES: usize = 4 * MAX_RESULT_BYTES;
/// Variables that read one another further than this are refused: each is evaluated within the one that reads it.
const MAX_CHAIN: usize = 64;
const ROOTS: [&str; 8] = ["vars", "site", "cluster", "clusters", "hosts", "dpus", "host", "dpu"];

/// Where something is evaluated.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::render) enum Level {
    Site,
    In(Scope),
}

impl Level {
    fn provides(self) -> Needs {
        match self {
            Self::Site => Needs::default(),
            Self::In(Scope::Cluster(_)) => Needs::CLUSTER,
            Self::In(Scope::Host(_)) => Needs::HOST,
            Self::In(Scope::Dpu(..)) => Needs::CLUSTER.and(Needs::HOST).and(Needs::DPU),
        }
    }

    fn cluster(self, scopes: &Scopes<'_>) -> Option<usize> {
        match self {
            Self::In(Scope::Cluster(cluster)) => Some(cluster),
            Self::In(Scope::Dpu(host, dpu)) => scopes.cluster_of(host, dpu),
            _ => None,
        }
    }
}

/// A variable at a level.
type Variable = (Level, Rc<str>);

/// Everything that expressions of one site can see.
pub(in crate::render) struct Scopes<'a> {
    tree: &'a SourceTree<'a>,
    templates: &'a Templates,
    site: &'a Site,
    inventory: &'a Inventory,
    /// Variables of layers and site.
    vars: Node,
    /// `--set`, over every level.
    set: Node,
    /// Variables that a level further in sets or that read such a variable.
    late: BTreeMap<String, Needs>,
    merged: RefCell<BTreeMap<Level, Node>>,
    evaluated: RefCell<BTreeMap<Variable, Option<Node>>>,
    active: RefCell<Vec<Variable>>,
    roots: RefCell<BTreeMap<(Level, &'static str), Option<Node>>>,
    values: RefCell<BTreeMap<(Level, &'static str), Jinja>>,
    faults: RefCell<Vec<Diagnostic>>,
    /// Variables that a layer declares and nobody sets, which was said.
    missing: RefCell<BTreeSet<String>>,
    /// What the object or variable that is being evaluated was given so far.
    given: Cell<usize>,
}

impl<'a> Scopes<'a> {
    /// The scopes of a site; `vars` are those of its layers and its own, merged.
    pub(in crate::render) fn new(
        tree: &'a SourceTree<'a>,
        templates: &'a Templates,
        site: &'a Site,
        inventory: &'a Inventory,
        vars: Node,
        set: Node,
    ) -> Self {
        let mut scopes = Self {
            tree,
            templates,
            site,
            inventory,
            vars,
            set,
            late: BTreeMap::new(),
            merged: RefCell::default(),
            evaluated: RefCell::default(),
            active: RefCell::default(),
            roots: RefCell::default(),
            values: RefCell::default(),
            faults: RefCell::default(),
            missing: RefCell::default(),
            given: Cell::default(),
        };
        scopes.late = scopes.find_late();
        scopes
    }

    /// What went wrong since the last call.
    pub(in crate::render) fn take_faults(&self) -> Vec<Diagnostic> {
        self.faults.take()
    }

    fn fault(&self, fault: Diagnostic) {
        self.faults.borrow_mut().push(fault);
    }

    fn host(&self, host: usize) -> Option<&Host> {
        self.inventory.hosts.get(host)
    }

    fn dpu(&self, host: usize, dpu: usize) -> Option<&Dpu> {
        self.host(host)?.dpus.get(dpu)
    }

    fn cluster_of(&self, host: usize, dpu: usize) -> Option<usize> {
        let name = &self.dpu(host, dpu)?.cluster;
        self.site.clusters.iter().position(|cluster| cluster.name == *name)
    }

    /// The variables of a level, merged, not evaluated.
    fn merged(&self, level: Level) -> Node {
        if let Some(known) = self.merged.borrow().get(&level) {
            return known.clone();
        }
        let cluster_vars =
            |cluster: Option<usize>| cluster.and_then(|index| self.site.clusters.get(index)).map(|c| &c.vars);
        let inner: Vec<&Node> = match level {
            Level::Site => Vec::new(),
            Level::In(Scope::Cluster(cluster)) => cluster_vars(Some(cluster)).into_iter().collect(),
            Level::In(Scope::Host(host)) => self.host(host).map(|host| &host.vars).into_iter().collect(),
            Level::In(Scope::Dpu(host, dpu)) => cluster_vars(self.cluster_of(host, dpu))
                .into_iter()
                .chain(self.host(host).map(|host| &host.vars))
                .chain(self.dpu(host, dpu).map(|dpu| &dpu.vars))
                .collect(),
        };
        let vars =
            inner.into_iter().chain([&self.set]).fold(self.vars.clone(), |below, above| merge_vars(&below, above));
        self.merged.borrow_mut().insert(level, vars.clone());
        vars
    }

    /// A variable at a level, evaluated; `None` where it is not set or is at fault, which is then reported.
    fn variable(&self, name: &str, level: Level) -> Option<Node> {
        let late = self.late.get(name).is_some_and(|needs| !needs.within(Needs::default()));
        let level = if late { level } else { Level::Site };
        let key = (level, Rc::from(name));
        if let Some(known) = self.evaluated.borrow().get(&key) {
            return known.clone();
        }
        let definition = self.merged(level).get(name)?.clone();
        if self.active.borrow().contains(&key) {
            let active = self.active.borrow();
            let from = active.iter().position(|entry| *entry == key).unwrap_or_default();
            let path: Vec<String> = active[from..].iter().map(|(_, name)| format!("`{name}`")).collect();
            let message = format!("the variable `{name}` is defined through itself: {} → `{name}`", path.join(" → "));
            self.fault(Diagnostic::error("variable-cycle", definition.origin(), message));
            return None;
        }
        if self.active.borrow().len() == MAX_CHAIN {
            let message = format!("more than {MAX_CHAIN} variables read one another, down to `{name}`");
            self.fault(Diagnostic::error("variable-cycle", definition.origin(), message));
            self.evaluated.borrow_mut().insert(key, None);
            return None;
        }
        self.active.borrow_mut().push(key.clone());
        let given = self.given.take();
        let value = self.evaluate_at(&definition, level);
        self.given.set(given);
        self.active.borrow_mut().pop();
        let value = value.filter(|value| !value.has_expression());
        self.evaluated.borrow_mut().insert(key, value.clone());
        value
    }

    /// All variables of a level, evaluated.
    fn all_variables(&self, level: Level) -> Node {
        let merged = self.merged(level);
        let names = merged.fields(&[]).iter().map(|entry| entry.key.text.clone());
        Node::map_of(names.filter_map(|name| Some((name.clone(), self.variable(&name, level)?))), merged.origin())
    }

    /// `node` with what can be evaluated at `level` evaluated; `None` after a fault, which is kept.
    pub(in crate::render) fn evaluate_at(&self, node: &Node, level: Level) -> Option<Node> {
        if !node.has_expression() {
            return Some(node.clone());
        }
        match node.value() {
            Value::Str(text) => self.scalar(node, text, level),
            Value::List(items) => {
                let items: Option<Vec<Node>> =
                    items.iter().map(|item| self.evaluate_at(item, level)).collect::<Vec<_>>().into_iter().collect();
                Some(node.with_value(Value::List(items?)))
            }
            Value::Map(map) => {
                let entries: Vec<Option<Entry>> = map.entries().iter().map(|entry| self.entry(entry, level)).collect();
                let entries: Vec<Entry> = entries.into_iter().collect::<Option<_>>()?;
                let count = entries.len();
                let map = Map::new(entries);
                if map.len() < count {
                    let message = "two keys of this map are the same once their expressions are evaluated";
                    self.fault(Diagnostic::error("duplicate-key", node.origin(), message));
                    return None;
                }
                Some(node.with_value(Value::Map(map)))
            }
            _ => Some(node.clone()),
        }
    }

    fn entry(&self, entry: &Entry, level: Level) -> Option<Entry> {
        let value = self.evaluate_at(&entry.value, level);
        let key = if entry.key.text.contains(EXPRESSION) {
            let node = Node::str(&*entry.key.text, entry.key.origin);
            let evaluated = self.scalar(&node, &entry.key.text, level)?;
            let Some(text) = evaluated.as_str() else {
                let message = format!("a key must be a string, `{}` is {}", entry.key.text, evaluated.kind());
                self.fault(Diagnostic::error("expression-type", entry.key.origin, message));
                return None;
            };
            Key { text: text.into(), origin: entry.key.origin }
        } else {
            entry.key.clone()
        };
        Some(Entry { key, value: value? })
    }

    fn scalar(&self, node: &Node, text: &str, level: Level) -> Option<Node> {
        let template = self.templates.get(text);
        let template = match &*template {
            Ok(template) => template,
            Err(malformed) => {
                let origin = self.place(node.origin(), malformed.index);
                let fault = Diagnostic::error(
                    "expression-syntax",
                    origin,
                    format!("the expression cannot be read: {}", malformed.message),
                );
                self.fault(fault.help("expressions are Jinja's: `${{ vars.name }}`, `${{ vars.list | length }}`"));
                return None;
            }
        };
        let provided = level.provides();
        let waits = template.parts.iter().any(|part| match part {
            Part::Code(code) => !code_needs(&code.reads, &self.late).within(provided),
            Part::Text(_) => false,
        });
        if waits {
            return Some(node.clone());
        }
        let result = if let (true, [Part::Code(code)]) = (template.single, template.parts.as_slice()) {
            self.code(code, self.place_lazily(node, 0), level)
        } else {
            self.text(template, node, level)
        };
        result.filter(|result| self.give(result, node))
    }

    /// Counts what a scalar becomes; a fault and `false` where it is too much.
    fn give(&self, result: &Node, scalar: &Node) -> bool {
        let before = self.given.get();
        let given = before + weight(result, MAX_GIVEN_BYTES.saturating_sub(before));
        self.given.set(given);
        if given <= MAX_GIVEN_BYTES {
            return true;
        }
        // Once: what follows in this object would be too much as well.
        if before <= MAX_GIVEN_BYTES {
            let message = format!("the values of variables here are larger than {} MiB", MAX_GIVEN_BYTES >> 20);
            let fault = Diagnostic::error("expression-too-large", self.place(scalar.origin(), 0), message);
            self.fault(fault.note("a variable counts as often as it is named"));
        }
        false
    }

    /// An object at a level: [`Self::evaluate_at`], with a limit on what variables give it.
    pub(in crate::render) fn evaluate_object(&self, node: &Node, level: Level) -> Option<Node> {
        self.given.set(0);
        self.evaluate_at(node, level)
    }

    fn text(&self, template: &Template, node: &Node, level: Level) -> Option<Node> {
        let mut out = String::new();
        let mut index = 0;
        let mut failed = false;
        for part in &template.parts {
            let code = match part {
                Part::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Part::Code(code) => code,
            };
            let at = self.place_lazily(node, index);
            index += 1;
            let Some(result) = self.code(code, at, level) else {
                failed = true;
                continue;
            };
            match result.value() {
                Value::Str(text) => out.push_str(text),
                Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
                Value::Number(number) => out.push_str(&number.to_string()),
                _ => {
                    let message = format!("`{}` is {}, which cannot stand in text", code.text, result.kind());
                    let fault = Diagnostic::error("expression-type", at.find(self), message);
                    self.fault(fault.help("use `| to_yaml` or `| to_json`, or make the expression the whole value"));
                    failed = true;
                }
            }
            if out.len() > MAX_RESULT_BYTES {
                let message = format!("the text becomes larger than {} MiB", MAX_RESULT_BYTES >> 20);
                self.fault(Diagnostic::error("expression-too-large", at.find(self), message));
                return None;
            }
        }
        (!failed).then(|| Node::str(out, node.origin()))
    }

    fn place_lazily<'n>(&self, node: &'n Node, index: usize) -> At<'n> {
        let _ = self;
        At { node, index }
    }

    /// The place of the `index`th `${{` at or after `origin`; only messages need it.
    fn place(&self, origin: Origin, index: usize) -> Origin {
        let Some((file, source)) = origin.file().and_then(|file| Some((file, self.tree.source(file)?))) else {
            return origin;
        };
        let start = origin.offset() as usize;
        let found = source.text.get(start..).and_then(|text| text.match_indices(EXPRESSION).nth(index));
        found.and_then(|(at, _)| u32::try_from(start + at).ok()).map_or(origin, |at| Origin::new(file, at))
    }

    fn code(&self, code: &Code, at: At<'_>, level: Level) -> Option<Node> {
        match &code.kind {
            CodeKind::Path(path) => self.path(path, at, level),
            CodeKind::Engine(expression) => {
                let before = self.faults.borrow().len();
                let context = self.context(&code.reads, at, level)?;
                if self.faults.borrow().len() > before {
                    return None;
                }
                let result = expression.eval(context).map_err(|error| engine_message(&error));
                let origin = at.node.origin();
                match result.and_then(|value| filters::to_node(&value, origin)) {
                    Ok(node) if node.has_expression() => {
                        let message = format!("the result of `{}` holds `{EXPRESSION}` again", code.text);
                        self.fault(Diagnostic::error("expression-type", at.find(self), message));
                        None
                    }
                    Ok(node) => Some(node),
                    Err(message) => {
                        let fault = format!("`{}` cannot be evaluated: {message}", code.text);
                        self.fault(Diagnostic::error("expression-error", at.find(self), fault));
                        None
                    }
                }
            }
        }
    }

    /// What an expression of the engine sees: just what it reads.
    pub(in crate::render) fn context_of(&self, reads: &[(String, Option<String>)], origin: Origin) -> Option<Jinja> {
        let node = Node::new(Value::Null, origin);
        self.context(reads, At { node: &node, index: 0 }, Level::Site)
    }

    fn context(&self, reads: &[(String, Option<String>)], at: At<'_>, level: Level) -> Option<Jinja> {
        let mut vars: BTreeMap<String, Jinja> = BTreeMap::new();
        let mut context: BTreeMap<&str, Jinja> = BTreeMap::new();
        for (root, name) in reads {
            match (ROOTS.iter().find(|known| *known == root), name) {
                (Some(&"vars"), Some(name)) => {
                    if let Some(value) = self.variable(name, level) {
                        vars.insert(name.clone(), filters::from_node(&value));
                    } else if self.merged(level).get(name).is_some() {
                        // Its own fault was said when it was first read.
                        return None;
                    }
                }
                (Some(&"vars"), None) => {
                    for entry in self.all_variables(level).fields(&[]) {
                        vars.insert(entry.key.text.to_string(), filters::from_node(&entry.value));
                    }
                }
                (Some(root), _) => {
                    let known = self.values.borrow().get(&(level, *root)).cloned();
                    let value = match known {
                        Some(value) => Some(value),
                        None => self.root(root, level).map(|node| filters::from_node(&node)),
                    };
                    if let Some(value) = value {
                        self.values.borrow_mut().insert((level, *root), value.clone());
                        context.insert(root, value);
                    }
                }
                (None, _) if is_global(root) => {}
                (None, _) => {
                    self.unknown_root(root, at);
                    return None;
                }
            }
        }
        context.insert("vars", Jinja::from(vars));
        Some(Jinja::from(context))
    }

    fn unknown_root(&self, root: &str, at: At<'_>) {
        let fault = Diagnostic::error("undefined-variable", at.find(self), format!("there is no `{root}` here"));
        let help = if self.vars.get(root).is_some() || self.late.contains_key(root) {
            format!("a variable is read as `vars.{root}`")
        } else {
            format!("in scope are: {}", ROOTS.join(", "))
        };
        self.fault(fault.help(help));
    }

    fn path(&self, path: &[String], at: At<'_>, level: Level) -> Option<Node> {
        let Some(root) = ROOTS.iter().find(|root| **root == path[0]) else {
            self.unknown_root(&path[0], at);
            return None;
        };
        let before = self.faults.borrow().len();
        let (found, mut depth) = match (*root, path.get(1)) {
            ("vars", Some(name)) => (self.variable(name, level), 2),
            ("vars", None) => (Some(self.all_variables(level)), 1),
            _ => (self.root(root, level), 1),
        };
        let mut node = match found {
            Some(node) => node,
            None => {
                if self.faults.borrow().len() == before && !self.is_at_fault(path, level) {
                    self.undefined(path, at, level);
                }
                return None;
            }
        };
        while let Some(name) = path.get(depth) {
            let Some(next) = node.get(name) else {
                let names: Vec<&str> = node.fields(&[]).iter().map(|entry| &*entry.key.text).collect();
                let message = format!("`{}` has no `{name}`", path[..depth].join("."));
                let fault = Diagnostic::error("undefined-variable", at.find(self), message);
                self.fault(fault.help_if(match nearest(name, names.iter().copied()) {
                    Some(near) => Some(format!("did you mean `{near}`?")),
                    None if names.is_empty() => Some(format!("it is {}", node.kind())),
                    None => Some(format!("it has: {}", names.join(", "))),
                }));
                return None;
            };
            node = next.clone();
            depth += 1;
        }
        Some(node)
    }

    /// Whether a variable is set, so that what is wrong with it was said when it was first read.
    fn is_at_fault(&self, path: &[String], level: Level) -> bool {
        matches!(path, [root, name, ..] if root == "vars" && self.merged(level).get(name).is_some())
    }

    fn undefined(&self, path: &[String], at: At<'_>, level: Level) {
        let name = path.get(1).unwrap_or(&path[0]);
        if path[0] == "vars" && self.missing.borrow().contains(name) {
            return;
        }
        let merged = self.merged(level);
        let mut names: BTreeSet<&str> = merged.fields(&[]).iter().map(|entry| &*entry.key.text).collect();
        names.extend(self.late.keys().map(String::as_str));
        let place = match level.cluster(self).and_then(|index| self.site.clusters.get(index)) {
            Some(cluster) => format!(" for the cluster `{}`", cluster.name),
            None => String::new(),
        };
        let message = match path[0].as_str() {
            "vars" => format!("the variable `{name}` is not set{place}"),
            root => format!("there is no `{root}` here"),
        };
        let fault = Diagnostic::error("undefined-variable", at.find(self), message);
        self.fault(match nearest(name, names.iter().copied().filter(|known| known != name)) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None if path[0] == "vars" => {
                fault.help(format!("set it under `vars` in {}/site.yaml, or in a layer", self.site.folder))
            }
            None => fault,
        });
    }
}

impl Evaluate for Scopes<'_> {
    fn evaluate(&self, node: &Node, scope: Scope) -> Node {
        self.evaluate_object(node, Level::In(scope)).unwrap_or_else(|| node.clone())
    }
}

/// An expression: the scalar it stands in and its number there.
#[derive(Clone, Copy)]
struct At<'n> {
    node: &'n Node,
    index: usize,
}

impl At<'_> {
    fn find(self, scopes: &Scopes<'_>) -> Origin {
        scopes.place(self.node.origin(), self.index)
    }
}

/// How large a value is, roughly, counted no further than `most`: a shared part counts as often as it is there.
pub(in crate::render) fn weight(node: &Node, most: usize) -> usize {
    let mut weight = 16;
    let add = |child: &Node, key: usize, weight: usize| weight + key + self::weight(child, most.saturating_sub(weight));
    match node.value() {
        Value::Str(text) => weight += text.len(),
        Value::List(items) => {
            for item in items {
                if weight > most {
                    break;
                }
                weight = add(item, 0, weight);
            }
        }
        Value::Map(map) => {
            for (key, value) in map.iter() {
                if weight > most {
                    break;
                }
                weight = add(value, key.len(), weight);
            }
        }
        _ => {}
    }
    weight
}

/// The level of a cluster by its index.
pub(in crate::render) fn cluster_level(index: usize) -> Level {
    Level::In(Scope::Cluster(index))
}

fn is_global(name: &str) -> bool {
    expression::environment().is_ok_and(|environment| environment.globals().any(|(global, _)| global == name))
}

/// What the engine says, without its own idea of files and lines.
pub(in crate::render) fn engine_message(error: &minijinja::Error) -> String {
    match (error.kind(), error.detail()) {
        (minijinja::ErrorKind::OutOfFuel, _) => "it takes too long: loops are bounded".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    }
}

/// Variables merge deeply; whatever is no map is replaced, and null is a value like any other.
pub(in crate::render) fn merge_vars(below: &Node, above: &Node) -> Node {
    let (Some(old), Some(new)) = (below.as_map(), above.as_map()) else {
        return above.over(below);
    };
    if new.is_empty() {
        return below.clone();
    }
    if old.is_empty() {
        return above.clone();
    }
    let mut entries: Vec<Entry> = old.entries().to_vec();
    for entry in new.entries() {
        match old.get(&entry.key.text) {
            Some(value) => entries.push(Entry { key: entry.key.clone(), value: merge_vars(value, &entry.value) }),
            None => entries.push(entry.clone()),
        }
    }
    below.with_value(Value::Map(Map::new(entries)))
}
