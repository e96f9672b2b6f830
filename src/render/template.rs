//! `.j2` files: text that must yield documents. PURE.
//!
//! Rendered once per site, with `${{ }}`, `${% %}` and `${# #}`; what differs between clusters cannot be read here.

use super::expression;
use super::scope::{Scopes, engine_message};
use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::source::{Origin, Source, SourceTree};
use crate::yaml::read;

/// The documents that a `.j2` file yields for a site.
pub(super) fn documents(
    source: &Source,
    tree: &SourceTree<'_>,
    scopes: &Scopes<'_>,
    faults: &mut Vec<Diagnostic>,
) -> Vec<Node> {
    // The file was added to the tree when it was read; messages about the template need a place in it.
    let (file, _) = tree.add(&source.path, source.text.clone());
    let at = |offset: usize| Origin::new(file, u32::try_from(offset).unwrap_or_default());
    let fault = |error: &minijinja::Error| {
        let line = error.line().unwrap_or(1).saturating_sub(1);
        let start: usize = source.text.split_inclusive('\n').take(line).map(str::len).sum();
        Diagnostic::error(
            "template-error",
            at(start),
            format!("the template cannot be rendered: {}", engine_message(error)),
        )
    };
    let environment = match expression::environment() {
        Ok(environment) => environment,
        Err(message) => {
            faults.push(Diagnostic::error("template-error", at(0), message));
            return Vec::new();
        }
    };
    let template = match environment.template_from_named_str(&source.path, &source.text) {
        Ok(template) => template,
        Err(error) => {
            faults.push(fault(&error));
            return Vec::new();
        }
    };
    let mut reads: Vec<(String, Option<String>)> =
        template.undeclared_variables(true).iter().map(|path| expression::read(path)).collect();
    reads.sort_unstable();
    if let Some(late) = scopes.late_reads(&reads) {
        let offset = source.text.find(&late).unwrap_or_default();
        let message = format!("`{late}` differs between clusters, and a template is rendered once per site");
        let fault = Diagnostic::error("expression-waits", at(offset), message);
        faults.push(fault.help("loop over `clusters` or `dpus`, or write the value as `${{ … }}` in a YAML file"));
        return Vec::new();
    }
    let Some(context) = scopes.context_of(&reads, at(0)) else { return Vec::new() };
    match template.render(context) {
        Ok(text) => {
            let (file, rendered) = tree.add(&format!("{} (as rendered)", source.path), text);
            read::documents(&rendered, file, faults)
        }
        Err(error) => {
            faults.push(fault(&error));
            Vec::new()
        }
    }
}
