//! What waits: expressions that read what a cluster, host or card sets, and the faults of those that wait for nobody. PURE.

use std::collections::{BTreeMap, BTreeSet};

use super::Scopes;
use crate::diagnostic::Diagnostic;
use crate::node::{EXPRESSION, Node, Value};
use crate::render::expression::{Code, Part};
use crate::source::Origin;

/// Which levels a variable or expression needs, as a set.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Needs(u8);

impl Needs {
    pub(super) const CLUSTER: Self = Self(1);
    pub(super) const HOST: Self = Self(2);
    pub(super) const DPU: Self = Self(4);

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub(super) fn name(self) -> &'static str {
        if self.0 & Self::DPU.0 != 0 {
            "a card"
        } else if self.0 & Self::HOST.0 != 0 {
            "a host"
        } else {
            "a cluster"
        }
    }
}

/// The code of what waits for nobody.
const WAITS: &str = "expression-waits";

impl Scopes<'_> {
    /// The maps that set variables beyond the site, and what they belong to.
    fn setters(&self) -> impl Iterator<Item = (Needs, &Node)> {
        let clusters = self.site.clusters.iter().map(|cluster| (Needs::CLUSTER, &cluster.vars));
        let hosts = self.inventory.hosts.iter().map(|host| (Needs::HOST, &host.vars));
        let dpus = self.inventory.hosts.iter().flat_map(|host| &host.dpus).map(|dpu| (Needs::DPU, &dpu.vars));
        clusters.chain(hosts).chain(dpus)
    }

    pub(super) fn find_late(&self) -> BTreeMap<String, Needs> {
        let mut late: BTreeMap<String, Needs> = BTreeMap::new();
        let mut computed: Vec<(&str, &Node)> = Vec::new();
        for entry in self.vars.fields(&[]) {
            if entry.value.has_expression() {
                computed.push((&entry.key.text, &entry.value));
            }
        }
        for (needs, vars) in self.setters() {
            for entry in vars.fields(&[]) {
                if !late.contains_key(&*entry.key.text) {
                    late.insert(entry.key.text.to_string(), needs);
                } else if let Some(known) = late.get_mut(&*entry.key.text) {
                    *known = known.and(needs);
                }
                if entry.value.has_expression() {
                    computed.push((&entry.key.text, &entry.value));
                }
            }
        }
        // A map that is set merges: what a cluster says beside it still counts.
        let is_set = |name: &str| self.set.get(name).is_some_and(|value| value.as_map().is_none());
        late.retain(|name, _| !is_set(name));
        // Until nothing changes: a variable that reads a late one is late.
        loop {
            let mut changed = false;
            for (name, value) in &computed {
                let needs = self.needs(value, &late);
                let known = late.get(*name).copied().unwrap_or_default();
                if !needs.within(known) && !is_set(name) {
                    late.insert((*name).to_owned(), known.and(needs));
                    changed = true;
                }
            }
            if !changed {
                return late;
            }
        }
    }

    fn needs(&self, node: &Node, late: &BTreeMap<String, Needs>) -> Needs {
        if !node.has_expression() {
            return Needs::default();
        }
        match node.value() {
            Value::Str(text) => match &*self.templates.get(text) {
                Ok(template) => template.parts.iter().fold(Needs::default(), |needs, part| match part {
                    Part::Code(code) => needs.and(code_needs(&code.reads, late)),
                    Part::Text(_) => needs,
                }),
                Err(_) => Needs::default(),
            },
            Value::List(items) => items.iter().fold(Needs::default(), |needs, item| needs.and(self.needs(item, late))),
            Value::Map(map) => map.iter().fold(Needs::default(), |needs, (_, item)| needs.and(self.needs(item, late))),
            _ => Needs::default(),
        }
    }

    /// Reports every expression that is left in an object which nothing expands further.
    pub(in crate::render) fn report_waiting(&self, node: &Node, what: &str) {
        if !node.has_expression() {
            return;
        }
        match node.value() {
            Value::Str(text) => self.report_waiting_scalar(node, text, what),
            Value::List(items) => items.iter().for_each(|item| self.report_waiting(item, what)),
            Value::Map(map) => {
                for entry in map.entries() {
                    if entry.key.text.contains(EXPRESSION) {
                        self.report_waiting_scalar(
                            &Node::str(&*entry.key.text, entry.key.origin),
                            &entry.key.text,
                            what,
                        );
                    }
                    self.report_waiting(&entry.value, what);
                }
            }
            _ => {}
        }
    }

    fn report_waiting_scalar(&self, node: &Node, text: &str, what: &str) {
        let template = self.templates.get(text);
        let Ok(template) = &*template else { return };
        let mut index = 0;
        for part in &template.parts {
            let Part::Code(code) = part else { continue };
            let needs = code_needs(&code.reads, &self.late);
            if needs != Needs::default() {
                let origin = self.place(node.origin(), index);
                // Clusters share most objects: each expression is told once.
                if !self.faults.borrow().iter().any(|fault| fault.code == WAITS && fault.origin == origin) {
                    self.fault(self.waiting(code, needs, origin, what));
                }
            }
            index += 1;
        }
    }

    fn waiting(&self, code: &Code, needs: Needs, origin: Origin, what: &str) -> Diagnostic {
        let message = format!("`{}` waits for {}, and {what} is not made once for each", code.text, needs.name());
        let mut fault = Diagnostic::error(WAITS, origin, message);
        let mut told = BTreeSet::new();
        for (root, name) in &code.reads {
            let named = name.as_deref().filter(|_| root == "vars");
            // All variables together wait for the one that needs most.
            let all = || self.late.iter().find(|(_, late)| root == "vars" && late.name() == needs.name());
            let Some(name) = named.or_else(|| Some(all().filter(|_| name.is_none())?.0.as_str())) else { continue };
            if self.late.contains_key(name) {
                fault = self.note_setter(fault, name, &mut told);
            }
        }
        if !self.inventory.present && !needs.within(Needs::CLUSTER) {
            return fault.help("name an `inventory` in the site: then there is one object per card");
        }
        fault.help("give the object the annotation `dpu-render.dev/destination: clusters` or `dpu-render.dev/for-each`, or set the variable for the site")
    }

    /// Says who sets a variable that differs, or what it reads that does.
    fn note_setter(&self, mut fault: Diagnostic, name: &str, told: &mut BTreeSet<String>) -> Diagnostic {
        if !told.insert(name.to_owned()) {
            return fault;
        }
        // The innermost: that is what is waited for.
        let setters = self.setters().filter_map(|(needs, vars)| Some((needs, vars.as_map()?.entry(name)?)));
        let innermost = setters.reduce(|known, next| if next.0.0 > known.0.0 { next } else { known });
        if let Some((needs, entry)) = innermost {
            let message = match needs {
                Needs::CLUSTER => format!("`{name}` is set here for a cluster"),
                Needs::HOST => format!("`{name}` is set here for a host"),
                _ => format!("`{name}` is set here for a card"),
            };
            return fault.note_at(message, entry.key.origin);
        }
        let Some(entry) = self.vars.as_map().and_then(|vars| vars.entry(name)) else { return fault };
        fault = fault.note_at(format!("`{name}` is set here, and reads what differs"), entry.key.origin);
        let mut read = BTreeSet::new();
        self.variables_read(&entry.value, &mut read);
        read.iter()
            .filter(|read| self.late.contains_key(*read))
            .fold(fault, |fault, read| self.note_setter(fault, read, told))
    }

    fn variables_read(&self, node: &Node, read: &mut BTreeSet<String>) {
        if !node.has_expression() {
            return;
        }
        match node.value() {
            Value::Str(text) => {
                let Ok(template) = &*self.templates.get(text) else { return };
                for part in &template.parts {
                    let Part::Code(code) = part else { continue };
                    let names = code.reads.iter().filter(|(root, _)| root == "vars");
                    read.extend(names.filter_map(|(_, name)| name.clone()));
                }
            }
            Value::List(items) => items.iter().for_each(|item| self.variables_read(item, read)),
            Value::Map(map) => map.iter().for_each(|(_, item)| self.variables_read(item, read)),
            _ => {}
        }
    }

    /// What a `.j2` file may not read, because it is rendered once per site.
    pub(in crate::render) fn late_reads(&self, reads: &[(String, Option<String>)]) -> Option<String> {
        reads.iter().find_map(|read| {
            let needs = code_needs(std::slice::from_ref(read), &self.late);
            (needs != Needs::default()).then(|| match &read.1 {
                Some(name) => format!("{}.{name}", read.0),
                None => read.0.clone(),
            })
        })
    }
}

pub(super) fn code_needs(reads: &[(String, Option<String>)], late: &BTreeMap<String, Needs>) -> Needs {
    reads.iter().fold(Needs::default(), |needs, (root, name)| {
        needs.and(match (root.as_str(), name) {
            ("cluster", _) => Needs::CLUSTER,
            ("host", _) => Needs::HOST,
            ("dpu", _) => Needs::DPU,
            ("vars", Some(name)) => late.get(name).copied().unwrap_or_default(),
            ("vars", None) => late.values().fold(Needs::default(), |all, one| all.and(*one)),
            _ => Needs::default(),
        })
    })
}
