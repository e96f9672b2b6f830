//! The parameters of the plugin as Argo CD's form shows them. PURE.
//!
//! Every value is a string, and what is shown can become part of the Application when somebody edits it there: a variable
//! has a value here only where that says what the site says anyhow.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::cli::render::listed;
use crate::render::{Outline, Variable};
use crate::site::VariableType;

/// The announcement for a site in `folder`: a JSON list, closed by a newline.
pub(super) fn parameters(outline: &Outline, folder: &str) -> String {
    let destinations: BTreeSet<String> = outline.destinations.iter().map(ToString::to_string).collect();
    let values: BTreeMap<&str, &str> =
        outline.variables.iter().filter_map(|one| Some((&*one.declaration.name, one.text.as_deref()?))).collect();
    let declared: Vec<String> = outline.variables.iter().map(about).collect();
    let declared = if declared.is_empty() { "none".to_owned() } else { declared.join("; ") };
    let parameters = json!([
        {
            "name": "destination",
            "title": "Destination",
            "tooltip": format!("What this Application renders; the site {} has {}", outline.name, listed(&destinations)),
            "required": true,
            "itemType": "string",
            "collectionType": "string",
        },
        {
            "name": "site",
            "title": "Site",
            "tooltip": "Folder of the site, from the repository's root, or ./… from the path of the Application; \
                        that path unless given",
            "required": false,
            "itemType": "string",
            "collectionType": "string",
            "string": folder,
        },
        {
            "name": "vars",
            "title": "Variables",
            "tooltip": format!("Set over all layers, clusters and cards. Declared: {declared}"),
            "required": false,
            "itemType": "string",
            "collectionType": "map",
            "map": values,
        },
    ]);
    format!("{parameters}\n")
}

/// `mtu (integer, 1280 to 9216): MTU of the fabric`.
fn about(variable: &Variable) -> String {
    let declaration = &variable.declaration;
    let kind = VariableType::NAMES.iter().find(|(_, kind)| Some(*kind) == declaration.kind).map(|(name, _)| *name);
    let limits = match (declaration.minimum, declaration.maximum) {
        (Some(minimum), Some(maximum)) => Some(format!("{minimum} to {maximum}")),
        (Some(minimum), None) => Some(format!("at least {minimum}")),
        (None, Some(maximum)) => Some(format!("at most {maximum}")),
        (None, None) => None,
    };
    let choices: Vec<String> = declaration.choices.iter().map(|choice| choice.to_json().to_string()).collect();
    let choices = (!choices.is_empty()).then(|| choices.join(" or "));
    let facts: Vec<String> = kind.map(str::to_owned).into_iter().chain(limits).chain(choices).collect();
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    let purpose = declaration.description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    format!("{}{facts}{purpose}", declaration.name)
}
