//! `.j2` files: text that must yield documents. PURE.
//!
//! Rendered once per site, with `${{ }}`, `${% %}` and `${# #}`; what differs between clusters cannot be read here.

use std::{io, thread};

use super::expression;
use super::scope::{Scopes, engine_message};
use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::source::{Origin, Source, SourceTree};
use crate::yaml::read;

/// A larger template is refused: the engine reads it recursively.
const MAX_TEMPLATE_BYTES: usize = 256 << 10;
/// More text is refused.
const MAX_YIELD_BYTES: usize = 16 << 20;

/// Takes what a template yields, up to a limit.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_YIELD_BYTES {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs the engine where there is room: it reads templates and drops nested values recursively.
fn with_room<T: Send>(work: impl FnOnce() -> Result<T, minijinja::Error> + Send) -> Result<T, minijinja::Error> {
    const STACK_BYTES: usize = 512 << 20;
    let none = || minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "there is no room to run it in");
    thread::scope(|scope| {
        let worker = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).map_err(|_| none())?;
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

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
    if source.text.len() > MAX_TEMPLATE_BYTES {
        let message = format!("the template is larger than {} KiB", MAX_TEMPLATE_BYTES >> 10);
        faults
            .push(Diagnostic::error("template-error", at(0), message).help("split it, or write what it holds as YAML"));
        return Vec::new();
    }
    if let Some(offset) = expression::overlong(&source.text) {
        let fault = Diagnostic::error("template-error", at(offset), "an expression of the template is too long");
        faults.push(fault.help("write it as variables, each of a part of it"));
        return Vec::new();
    }
    let environment = match expression::environment() {
        Ok(environment) => environment,
        Err(message) => {
            faults.push(Diagnostic::error("template-error", at(0), message));
            return Vec::new();
        }
    };
    let parsed = with_room(|| {
        let template = environment.template_from_named_str(&source.path, &source.text)?;
        Ok(template.undeclared_variables(true).iter().map(|path| expression::read(path)).collect())
    });
    let mut reads: Vec<(String, Option<String>)> = match parsed {
        Ok(reads) => reads,
        Err(error) => {
            faults.push(fault(&error));
            return Vec::new();
        }
    };
    reads.sort_unstable();
    if let Some(late) = scopes.late_reads(&reads) {
        let offset = source.text.find(&late).unwrap_or_default();
        let message = format!("`{late}` differs between clusters, and a template is rendered once per site");
        let fault = Diagnostic::error("expression-waits", at(offset), message);
        faults.push(fault.help("loop over `clusters` or `dpus`, or write the value as `${{ … }}` in a YAML file"));
        return Vec::new();
    }
    let Some(context) = scopes.context_of(&reads, at(0)) else { return Vec::new() };
    let mut out = Bounded::default();
    let result = with_room(|| {
        let template = environment.template_from_named_str(&source.path, &source.text)?;
        template.render_captured_to(context, &mut out).map(drop)
    });
    if out.full {
        let message = format!("what the template yields is larger than {} MiB", MAX_YIELD_BYTES >> 20);
        faults.push(Diagnostic::error("template-error", at(0), message));
        return Vec::new();
    }
    match result {
        Ok(()) => {
            let text = String::from_utf8_lossy(&out.bytes).into_owned();
            let (file, rendered) = tree.add(&format!("{} (as rendered)", source.path), text);
            read::documents(&rendered, file, faults)
        }
        Err(error) => {
            faults.push(fault(&error));
            Vec::new()
        }
    }
}
