//! `${{ … }}` inside scalars: finding, compiling and evaluating one of them. PURE.
//!
//! In: a scalar's text. Out: [`Template`], its parts; a part that is a plain path (`vars.mtu`, `cluster.name`) is looked up
//! without the expression engine and grafts the node it names. What each expression reads is known before it runs, so that
//! one that needs a cluster, host or card can wait for it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use minijinja::{Environment, Expression};

use crate::node::EXPRESSION;

static ENVIRONMENT: LazyLock<Result<Environment<'static>, minijinja::Error>> =
    LazyLock::new(super::filters::environment);

/// The one environment; it is constant.
pub(super) fn environment() -> Result<&'static Environment<'static>, String> {
    ENVIRONMENT.as_ref().map_err(ToString::to_string)
}

/// A scalar taken apart.
#[derive(Debug)]
pub(super) struct Template {
    /// Text and expressions in turn.
    pub(super) parts: Vec<Part>,
    /// The whole scalar is one expression: the result keeps its type.
    pub(super) single: bool,
}

#[derive(Debug)]
pub(super) enum Part {
    Text(String),
    Code(Code),
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Code {
    /// As written, trimmed.
    pub(super) text: String,
    /// What it reads: a root (`vars`, `cluster`, …) and, of `vars`, which variable.
    pub(super) reads: Vec<(String, Option<String>)>,
    pub(super) kind: CodeKind,
}

#[derive(Debug)]
pub(super) enum CodeKind {
    /// `a.b.c`.
    Path(Vec<String>),
    /// Anything else.
    Engine(Expression<'static, 'static>),
}

/// Why a scalar cannot be taken apart: the number of the expression in it, and what is wrong.
#[derive(Clone, Debug)]
pub(super) struct Malformed {
    pub(super) index: usize,
    pub(super) message: String,
}

/// Templates by the text of their scalar, shared by all sites and threads.
#[derive(Default)]
pub(super) struct Templates(Mutex<BTreeMap<Box<str>, Parsed>>);

type Parsed = Arc<Result<Template, Malformed>>;

impl Templates {
    /// The parts of a scalar that holds [`EXPRESSION`].
    pub(super) fn get(&self, text: &str) -> Parsed {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(text) {
            return Arc::clone(known);
        }
        let parsed = Arc::new(parse(text));
        lock().insert(text.into(), Arc::clone(&parsed));
        parsed
    }
}

fn parse(text: &str) -> Result<Template, Malformed> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut index = 0;
    while let Some(start) = rest.find(EXPRESSION) {
        if start > 0 {
            parts.push(Part::Text(rest[..start].to_owned()));
        }
        let inner = &rest[start + EXPRESSION.len()..];
        let end = closing(inner).ok_or_else(|| Malformed { index, message: "`${{` has no `}}`".to_owned() })?;
        parts.push(Part::Code(compile(inner[..end].trim()).map_err(|message| Malformed { index, message })?));
        rest = &inner[end + 2..];
        index += 1;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    let single = matches!(parts.as_slice(), [Part::Code(_)]);
    Ok(Template { parts, single })
}

/// Where the `}}` that ends an expression begins: outside quotes and inner braces.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut quote) = (0usize, None);
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth > 0 => depth -= 1,
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A longer expression is refused: the engine reads it recursively.
const MAX_CODE_BYTES: usize = 4 << 10;

/// Where code of a template is longer than it may be: of one tag, from `${{` or `${%` to its end.
pub(super) fn overlong(template: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = template[from..].find("${") {
        let start = from + found;
        let inner = &template[start + 2..];
        from = start + 2;
        let end = match inner.as_bytes().first() {
            Some(b'{') => closing(&inner[1..]).map(|end| end + 3),
            Some(b'%') => outside_quotes(inner).find(|at| inner[*at..].starts_with("%}") && *at > 0),
            _ => continue,
        };
        let length = end.unwrap_or(inner.len());
        if length > MAX_CODE_BYTES {
            return Some(start);
        }
        from += length;
    }
    None
}

/// The offsets of what is not in quotes.
fn outside_quotes(text: &str) -> impl Iterator<Item = usize> + '_ {
    let (mut quote, mut escaped) = (None, false);
    text.char_indices().filter_map(move |(at, c)| match (quote, c) {
        (Some(_), _) if escaped => {
            escaped = false;
            None
        }
        (Some(_), '\\') => {
            escaped = true;
            None
        }
        (Some(open), c) => {
            if c == open {
                quote = None;
            }
            None
        }
        (None, '"' | '\'') => {
            quote = Some(c);
            None
        }
        (None, _) => Some(at),
    })
}

fn compile(text: &str) -> Result<Code, String> {
    if text.is_empty() {
        return Err("an empty expression".to_owned());
    }
    if text.len() > MAX_CODE_BYTES {
        return Err(format!("it is longer than {} KiB", MAX_CODE_BYTES >> 10));
    }
    let path: Vec<String> = text.split('.').map(|part| part.trim().to_owned()).collect();
    if path.iter().all(|part| is_identifier(part)) && !matches!(text, "true" | "false" | "none") {
        let reads = vec![(path[0].clone(), path.get(1).cloned())];
        return Ok(Code { text: text.to_owned(), reads, kind: CodeKind::Path(path) });
    }
    let expression = environment()?
        .compile_expression_owned(text.to_owned())
        .map_err(|error| error.detail().map_or_else(|| error.to_string(), str::to_owned))?;
    let mut reads: Vec<(String, Option<String>)> =
        expression.undeclared_variables(true).iter().map(|path| read(path)).collect();
    reads.sort_unstable();
    Ok(Code { text: text.to_owned(), reads, kind: CodeKind::Engine(expression) })
}

/// `vars.a.b` as root and name.
pub(super) fn read(path: &str) -> (String, Option<String>) {
    let mut parts = path.split('.');
    let root = parts.next().unwrap_or_default().to_owned();
    (root, parts.next().map(str::to_owned))
}

fn is_identifier(text: &str) -> bool {
    text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_taken_apart_at_the_right_braces() {
        let template = parse("a${{ vars.x }}b${{ {\"k\": {\"m\": \"}}\"}} }}").unwrap();
        assert_eq!(template.parts.len(), 4);
        assert!(!template.single);
        assert!(parse("${{ vars.x | length }}").unwrap().single);
        assert_eq!(parse("x ${{ a ").unwrap_err().message, "`${{` has no `}}`");
        assert!(parse("${{ }}").is_err());
        assert!(parse("${{ a | nosuchfilter( }}").is_err());
    }

    #[test]
    fn code_of_any_length_is_found() {
        let long = "not ".repeat(2000);
        assert_eq!(overlong(&format!("a: ${{{{ 1 }}}} ${{{{ {long} 1 }}}}")), Some(12));
        assert_eq!(overlong(&format!("${{% if '%}}' == {long} 1 %}}")), Some(0));
        assert_eq!(overlong(&format!("${{% if 'a' %}}{long}${{% endif %}}${{{{ '}}}}' }}}}{long}")), None);
        assert!(compile(&long).is_err());
    }

    #[test]
    fn what_an_expression_reads_is_known() {
        let reads = |text: &str| compile(text).unwrap().reads;
        assert_eq!(reads("vars.a.b"), [("vars".to_owned(), Some("a".to_owned()))]);
        assert_eq!(
            reads("vars.a + cluster.vars.n if dpus else vars.b"),
            [
                ("cluster".to_owned(), Some("vars".to_owned())),
                ("dpus".to_owned(), None),
                ("vars".to_owned(), Some("a".to_owned())),
                ("vars".to_owned(), Some("b".to_owned())),
            ]
        );
        assert_eq!(reads("vars['a']"), [("vars".to_owned(), None)]);
    }
}
