//! One Lua script per kind, out of the table of kinds and the scripts of the shapes. PURE.
//!
//! In: `plugin/health/kinds.yaml`, `plugin/health/shapes/*.lua`. Out: `plugin/health/<group>_<Kind>.lua`: the parameters as
//! locals, then the shape without its comments.

use dpu_render::node::Node;

use super::{MADE, Texts, yaml};

/// How a parameter is written in Lua.
#[derive(Clone, Copy)]
enum Form {
    /// A list of texts.
    List,
    /// Texts as keys.
    Set,
    /// A text, or nil.
    Text,
    /// true or false.
    Flag,
}

/// What each shape takes.
const SHAPES: [(&str, &[(&str, Form)]); 4] = [
    ("conditions", &[("gate", Form::List), ("failed", Form::Text), ("quiet", Form::Flag)]),
    ("word", &[("path", Form::List), ("good", Form::Set), ("bad", Form::Set), ("retried", Form::Text)]),
    ("counts", &[]),
    ("application", &[]),
];

/// Path to script.
pub(super) fn scripts(sources: &Texts) -> Result<Texts, String> {
    let table = "plugin/health/kinds.yaml";
    let text = sources.get(table).ok_or_else(|| format!("{table} is missing"))?;
    let mut scripts = Texts::new();
    for row in yaml(table, text)?.items(&["kinds"]) {
        let field = |key: &str| row.text(&[key]).ok_or_else(|| format!("{table}: a kind has no `{key}`"));
        let (group, kind, shape) = (field("group")?, field("kind")?, field("shape")?);
        let script = script(row, group, kind, shape, sources).map_err(|fault| format!("{table}: {kind}: {fault}"))?;
        if scripts.insert(format!("plugin/health/{group}_{kind}.lua"), script).is_some() {
            return Err(format!("{table}: {group} {kind} is there twice"));
        }
    }
    Ok(scripts)
}

fn script(row: &Node, group: &str, kind: &str, shape: &str, sources: &Texts) -> Result<String, String> {
    let path = format!("plugin/health/shapes/{shape}.lua");
    let body = sources.get(&path).ok_or_else(|| format!("{path} is missing"))?;
    let parameters = SHAPES.iter().find(|(name, _)| *name == shape).map(|(_, parameters)| *parameters);
    let parameters = parameters.ok_or_else(|| format!("no shape `{shape}`"))?;
    for entry in row.fields(&[]) {
        let key = &*entry.key.text;
        if !["group", "kind", "shape"].contains(&key) && !parameters.iter().any(|(name, _)| *name == key) {
            return Err(format!("the shape `{shape}` has no parameter `{key}`"));
        }
    }
    let mut text = format!("-- {MADE}: health of {group} {kind}; why it is so: shapes/{shape}.lua.\n");
    for (name, form) in parameters {
        text.push_str(&format!("local {name} = {}\n", literal(row, name, *form)?));
    }
    for line in body.lines().filter(|line| !line.trim_start().starts_with("--")) {
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}

fn literal(row: &Node, name: &str, form: Form) -> Result<String, String> {
    let texts = || -> Result<Vec<&str>, String> {
        let items = row.get(name).and_then(Node::as_list).ok_or_else(|| format!("`{name}` is no list"))?;
        items
            .iter()
            .map(|item| item.as_str().ok_or_else(|| format!("`{name}` holds something else than text")))
            .collect()
    };
    Ok(match form {
        Form::List => {
            format!("{{ {} }}", texts()?.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", "))
        }
        Form::Set => {
            let keys: Vec<String> = texts()?.iter().map(|text| format!("[{text:?}] = true")).collect();
            if keys.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", keys.join(", ")) }
        }
        Form::Text => row.text(&[name]).map_or_else(|| "nil".to_owned(), |text| format!("{text:?}")),
        Form::Flag => row.get(name).and_then(Node::as_bool).unwrap_or_default().to_string(),
    })
}
