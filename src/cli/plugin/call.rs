//! What Argo CD asks for, out of the environment that it calls a plugin with. PURE.
//!
//! Nothing is passed over: what has a name that we do not know is refused. `PARAM_*` repeats the parameters, with names that
//! can collide, and is not read.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cli::sites::SITE_FILE;
use crate::diagnostic::nearest;

const SOURCE_PATH: &str = "ARGOCD_APP_SOURCE_PATH";
const PARAMETERS: &str = "ARGOCD_APP_PARAMETERS";
/// What a user's `plugin.env` begins with here.
const ENV: &str = "ARGOCD_ENV_";
/// The parameters there are.
const KNOWN: [&str; 3] = ["destination", "site", "vars"];

/// Whether a variable of the environment says something to us.
pub(super) fn concerns(name: &str) -> bool {
    name == SOURCE_PATH || name == PARAMETERS || name.starts_with(ENV)
}

/// One call.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Call {
    /// Path of the application from the repository's root, without `.`; empty for the root.
    pub(super) source_path: String,
    /// Whose objects are wanted.
    pub(super) destination: Option<String>,
    /// Folder of the site from the repository's root.
    pub(super) site: String,
    /// Variables over all scopes.
    pub(super) vars: Vec<(String, String)>,
}

impl Call {
    /// Of the variables that concern us.
    pub(super) fn of(environment: &BTreeMap<String, String>) -> Result<Self, String> {
        let Some(source_path) = environment.get(SOURCE_PATH) else {
            return Err(format!("`{SOURCE_PATH}` is not set: Argo CD calls this, in the folder of an application"));
        };
        let source_path =
            from("", source_path).ok_or_else(|| format!("the path in `{SOURCE_PATH}` leads out of the repository"))?;
        let mut given = Given::default();
        if let Some(parameters) = environment.get(PARAMETERS).filter(|text| !text.is_empty()) {
            given.parameters(parameters)?;
        }
        for (name, value) in environment {
            if let Some(name) = name.strip_prefix(ENV) {
                given.env(name, value)?;
            }
        }
        let Given { destination, site, vars, .. } = given;
        let site = site.map_or(Some(source_path.clone()), |path| {
            let path = path.strip_suffix(SITE_FILE).unwrap_or(&path);
            let relative = matches!(path.split('/').next(), Some("." | ".."));
            from(if relative { &source_path } else { "" }, path)
        });
        match site {
            Some(site) if site.is_empty() => Err("the repository's root cannot be a site: the parameter `site`, or \
                 the path of the application, names its folder"
                .to_owned()),
            Some(site) => Ok(Self { source_path, destination, site, vars }),
            None => Err("the parameter `site` leads out of the repository".to_owned()),
        }
    }
}

/// Where `path` leads from `base`, a folder of the repository; nothing where it leads out.
fn from(base: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// What was read so far.
#[derive(Default)]
struct Given {
    /// Names that were.
    names: Vec<String>,
    destination: Option<String>,
    site: Option<String>,
    vars: Vec<(String, String)>,
}

impl Given {
    /// A list of objects `{"name", "string" | "array" | "map"}`; one that holds nothing is as if it were not there.
    fn parameters(&mut self, text: &str) -> Result<(), String> {
        let parsed: Value = serde_json::from_str(text)
            .map_err(|error| format!("`{PARAMETERS}` is no JSON, from column {}", error.column()))?;
        let list = match &parsed {
            Value::Null => return Ok(()),
            Value::Array(list) => list,
            _ => return Err(format!("`{PARAMETERS}` is no JSON list")),
        };
        for (index, parameter) in list.iter().enumerate() {
            // Argo CD writes the name of every parameter, an empty one where there is none.
            let name = parameter.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
            let Some(name) = name else {
                return Err(format!("`{PARAMETERS}`: number {} of the list has no `name`", index + 1));
            };
            if !KNOWN.contains(&name) {
                let near = nearest(name, KNOWN).map(|near| format!("; did you mean `{near}`?"));
                let known = KNOWN.map(|known| format!("`{known}`")).join(", ");
                return Err(format!("no parameter `{name}`; there are {known}{}", near.unwrap_or_default()));
            }
            if self.names.iter().any(|known| known == name) {
                return Err(format!("the parameter `{name}` is given twice"));
            }
            self.names.push(name.to_owned());
            let wanted = if name == "vars" { "map" } else { "string" };
            let empty = |value: &Value| match value {
                Value::Null => true,
                Value::String(text) => text.is_empty(),
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                _ => false,
            };
            let held = |kind: &str| parameter.get(kind).filter(|value| !empty(value));
            let others = [("string", "a string"), ("array", "an array"), ("map", "a map")];
            if let Some((_, this)) = others.into_iter().find(|(kind, _)| *kind != wanted && held(kind).is_some()) {
                return Err(format!("the parameter `{name}` must be a {wanted}, this is {this}"));
            }
            match (name, held(wanted)) {
                (_, None) => {}
                ("vars", Some(Value::Object(map))) => {
                    for (variable, value) in map {
                        let Some(text) = value.as_str() else {
                            return Err(format!("`{variable}` in the parameter `vars` must be a string"));
                        };
                        self.vars.push((variable.clone(), text.to_owned()));
                    }
                }
                (name, Some(Value::String(text))) if name != "vars" => self.text(name, text),
                (name, Some(_)) => return Err(format!("the parameter `{name}` must be a {wanted}")),
            }
        }
        Ok(())
    }

    /// An entry of `plugin.env`: its values may name what Argo CD knows of the application.
    fn env(&mut self, name: &str, value: &str) -> Result<(), String> {
        let known = match name {
            "DESTINATION" => "destination",
            "SITE" => "site",
            _ => {
                return Err(format!(
                    "no variable `{name}` in `plugin.env`; there are `DESTINATION` and `SITE`, variables of the site go \
                     into the parameter `vars`"
                ));
            }
        };
        if value.is_empty() {
            return Ok(());
        }
        let taken = if known == "site" { &self.site } else { &self.destination };
        if taken.is_some() {
            return Err(format!("`{known}` is given twice: as a parameter, and as `{name}` in `plugin.env`"));
        }
        self.text(known, value);
        Ok(())
    }

    fn text(&mut self, name: &str, text: &str) {
        let field = if name == "site" { &mut self.site } else { &mut self.destination };
        *field = Some(text.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str, site: &str) -> Result<String, String> {
        let parameters = serde_json::json!([{"name": "site", "string": site}]).to_string();
        let environment = [(SOURCE_PATH, path), (PARAMETERS, &parameters)];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Call::of(&environment.into()).map(|call| call.site)
    }

    #[test]
    fn a_site_is_named_from_the_root_or_from_the_application() {
        for (path, site, found) in [
            ("sites/lab1", "", "sites/lab1"),
            ("./sites//lab1/", "", "sites/lab1"),
            ("apps/x", "sites/lab1", "sites/lab1"),
            ("apps/x", "/sites/lab1/", "sites/lab1"),
            ("apps/x", "sites/lab1/site.yaml", "sites/lab1"),
            ("sites", "./lab1", "sites/lab1"),
            ("sites/lab1", "../lab2", "sites/lab2"),
            (".", "sites/lab1", "sites/lab1"),
        ] {
            assert_eq!(call(path, site).as_deref(), Ok(found), "{path} {site}");
        }
        assert!(call("sites/lab1", "../../../x").unwrap_err().contains("leads out"));
        assert!(call("../x", "").unwrap_err().contains("leads out"));
        assert!(call(".", "").unwrap_err().contains("root cannot be a site"));
    }
}
