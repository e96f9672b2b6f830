//! Declared variables: set by somebody, of the right type, within limits. PURE.

use std::collections::{BTreeMap, BTreeSet};

use super::late::Needs;
use super::{Level, Scopes, cluster_level};
use crate::diagnostic::Diagnostic;
use crate::node::{Node, Value};
use crate::render::expand::Scope;
use crate::site::{Declaration, VariableType};

impl Scopes<'_> {
    /// Checks what the layers declare: set by somebody, of the right type and within limits, at every level.
    pub(in crate::render) fn check_declarations(&self, declarations: &BTreeMap<String, Declaration>) {
        let cards = self
            .inventory
            .hosts
            .iter()
            .enumerate()
            .flat_map(|(host, entry)| (0..entry.dpus.len()).map(move |dpu| Scope::Dpu(host, dpu)));
        let levels: Vec<Level> = [Level::Site]
            .into_iter()
            .chain((0..self.site.clusters.len()).map(cluster_level))
            .chain(cards.map(Level::In))
            .collect();
        for (name, declaration) in declarations {
            let late = self.late.get(name).copied().unwrap_or_default();
            let mut checked: Vec<Node> = Vec::new();
            let mut missing = Vec::new();
            for level in &levels {
                if !(late.within(level.provides()) || *level == Level::Site) {
                    continue;
                }
                let before = self.faults.borrow().len();
                match self.variable(name, *level) {
                    Some(value) if checked.iter().any(|known| known.same(&value)) => {}
                    Some(value) => {
                        check_declared(declaration, &value, &mut self.faults.borrow_mut());
                        checked.push(value);
                    }
                    None if self.faults.borrow().len() == before
                        && (late == Needs::default() || *level != Level::Site) =>
                    {
                        missing.push(*level);
                    }
                    None => {}
                }
                if late == Needs::default() {
                    break;
                }
            }
            if !missing.is_empty() {
                self.tell_missing(name, declaration, &missing);
            }
        }
    }

    /// Once for all that lack it, in place of a fault wherever it is read.
    fn tell_missing(&self, name: &str, declaration: &Declaration, levels: &[Level]) {
        let clusters: BTreeSet<usize> = levels.iter().filter_map(|level| level.cluster(self)).collect();
        let clusters = clusters.iter().filter_map(|index| self.site.clusters.get(*index));
        let clusters: Vec<String> = clusters.map(|cluster| format!("`{}`", cluster.name)).collect();
        let (place, owner) = match clusters.as_slice() {
            _ if levels.contains(&Level::Site) => (String::new(), ""),
            [] => (String::new(), ""),
            [one] => (format!(" for the cluster {one}"), " of the cluster"),
            many => (format!(" for the clusters {}", many.join(", ")), " of each"),
        };
        let unset = format!("the variable `{name}` is not set");
        let message = format!("{unset}{place}");
        self.faults
            .borrow_mut()
            .retain(|fault| fault.code != "undefined-variable" || !fault.message.starts_with(&unset));
        self.missing.borrow_mut().insert(name.to_owned());
        let origin = self.site.node.get("spec").map_or(self.site.node.origin(), |spec| spec.key_origin("vars"));
        let description = declaration.description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        self.fault(
            Diagnostic::error("variable-missing", origin, message)
                .note_at(format!("a layer declares that it needs it{description}"), declaration.origin)
                .help(format!("write `{name}: …` under `vars`{owner} in {}/site.yaml", self.site.folder)),
        );
    }
}

fn check_declared(declaration: &Declaration, value: &Node, faults: &mut Vec<Diagnostic>) {
    let name = &declaration.name;
    let fault = |code, message: String| {
        Diagnostic::error(code, value.origin(), message).note_at("declared here", declaration.origin)
    };
    let fits = declaration.kind.is_none_or(|kind| match (kind, value.value()) {
        (VariableType::String, Value::Str(_))
        | (VariableType::Number, Value::Number(_))
        | (VariableType::Boolean, Value::Bool(_))
        | (VariableType::Array, Value::List(_))
        | (VariableType::Object, Value::Map(_)) => true,
        (VariableType::Integer, Value::Number(number)) => !number.is_f64(),
        _ => false,
    });
    if !fits {
        let kind = declaration.kind.and_then(|kind| VariableType::NAMES.iter().find(|(_, known)| *known == kind));
        let expected = kind.map_or("value", |(name, _)| name);
        let article = if expected.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
        faults.push(fault(
            "variable-type",
            format!("the variable `{name}` must be {article} {expected}, this is {}", value.kind()),
        ));
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
    let (size, unit) = match value.value() {
        Value::Number(number) => (number.as_f64(), ""),
        Value::Str(text) => (Some(text.chars().count() as f64), " characters"),
        Value::List(items) => (Some(items.len() as f64), " items"),
        _ => (None, ""),
    };
    if let (Some(size), Some(minimum)) = (size, declaration.minimum)
        && size < minimum
    {
        faults.push(fault(
            "variable-range",
            format!("the variable `{name}` is {size}{unit}, at least {minimum} is declared"),
        ));
    }
    if let (Some(size), Some(maximum)) = (size, declaration.maximum)
        && size > maximum
    {
        faults.push(fault(
            "variable-range",
            format!("the variable `{name}` is {size}{unit}, at most {maximum} is declared"),
        ));
    }
    if !declaration.choices.is_empty() && !declaration.choices.contains(value) {
        let allowed: Vec<String> = declaration.choices.iter().map(|choice| choice.to_json().to_string()).collect();
        let message = format!("the variable `{name}` is none of what is declared for it");
        let label = format!("this is {}", value.to_json());
        faults.push(fault("variable-range", message).label(label).help(format!("allowed: {}", allowed.join(", "))));
    }
}
