//! A rendered site as a stream of documents. PURE.

use crate::render::RenderedSite;
use crate::yaml::write;

/// Form of a stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Format {
    /// Documents, each opened by `# <site>/<destination>`
    #[default]
    Yaml,
    /// A line `{"site","destination","object"}` per object; with `--destination` the object alone
    Json,
}

/// Appends every object of `site`, or those of the destination `only`.
pub fn append(site: &RenderedSite, format: Format, only: Option<&str>, out: &mut String) {
    for destination in &site.destinations {
        let name = destination.destination.to_string();
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let (opening, closing) = match (format, only) {
            (Format::Yaml, _) => (format!("---\n# {}/{}\n", one_line(&site.name), one_line(&name)), ""),
            (Format::Json, None) => {
                (format!("{{\"site\":{},\"destination\":{},\"object\":", json(&site.name), json(&name)), "}\n")
            }
            (Format::Json, Some(_)) => (String::new(), "\n"),
        };
        if format == Format::Yaml {
            out.reserve(destination.objects.iter().map(|object| opening.len() + object.text.len()).sum());
        }
        for object in &destination.objects {
            out.push_str(&opening);
            match format {
                Format::Yaml => out.push_str(&object.text),
                Format::Json => write::json(&object.node, out),
            }
            out.push_str(closing);
        }
    }
}

/// A name in a comment must not end it.
fn one_line(name: &str) -> String {
    name.replace(char::is_control, "\u{fffd}")
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
