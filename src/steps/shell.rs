//! Lines of shell, for people to copy. PURE.
//!
//! What comes from a site is quoted wherever a shell would take it for something else; only what is written in this program
//! goes in as it is. The lines mean the same to sh, bash and zsh.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Where a line is broken, if a word lets it.
const WIDTH: usize = 110;
const CONTINUED: &str = "    ";

/// `word` as a shell must be given it.
pub(super) fn quote(word: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    // zsh expands a word that begins with `=`.
    if !word.is_empty() && !word.starts_with('=') && word.bytes().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

/// The name of a shell variable that stands for `text`: `ngc-doca` and `url` make `NGC_DOCA_URL`.
pub(super) fn variable(parts: &[&str]) -> String {
    let upper = parts.join("_").to_ascii_uppercase();
    let name: String = upper.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = name.trim_start_matches('_');
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name.to_owned() }
}

/// A command line under construction.
#[derive(Clone, Debug)]
pub(super) struct Line {
    text: String,
    /// Characters since the last break.
    column: usize,
}

impl Line {
    /// Begins with `fragment`, which is shell already.
    pub(super) fn of(fragment: &str) -> Self {
        Self { text: fragment.to_owned(), column: fragment.len() }
    }

    /// Adds a fragment that is shell already.
    pub(super) fn raw(mut self, fragment: &str) -> Self {
        // What does not fit on a line of its own either stays where it is.
        if self.column + 1 + fragment.len() > WIDTH && CONTINUED.len() + fragment.len() <= WIDTH {
            let _ = write!(self.text, " \\\n{CONTINUED}");
            self.column = CONTINUED.len();
        } else {
            self.text.push(' ');
            self.column += 1;
        }
        self.text.push_str(fragment);
        self.column += fragment.len();
        self
    }

    /// Adds a word.
    pub(super) fn word(self, word: &str) -> Self {
        self.raw(&quote(word))
    }

    /// Adds words.
    pub(super) fn words<'w>(self, words: impl IntoIterator<Item = &'w str>) -> Self {
        words.into_iter().fold(self, Self::word)
    }

    /// Adds `--name=value`.
    pub(super) fn option(self, name: &str, value: &str) -> Self {
        self.raw(&format!("--{name}={}", quote(value)))
    }

    /// Goes on with what reads the output.
    pub(super) fn pipe(mut self, next: &Self) -> Self {
        let _ = write!(self.text, " |\n{CONTINUED}{}", next.text);
        self.column = next.column + CONTINUED.len();
        self
    }

    /// The line.
    pub(super) fn end(self) -> String {
        self.text
    }
}

/// `kubectl` on the management cluster.
pub(super) fn kubectl() -> Line {
    Line::of("kubectl")
}

/// `kubectl` on the management cluster, in a namespace; none where that is empty.
pub(super) fn kubectl_in(namespace: &str) -> Line {
    namespaced(kubectl(), namespace)
}

/// `kubectl` on a DPU cluster.
pub(super) fn kubectl_on(cluster: &str) -> Line {
    kubectl().raw(&format!("--kubeconfig={}", kubeconfig(cluster)))
}

/// With `--namespace`, unless it is empty.
pub(super) fn namespaced(line: Line, namespace: &str) -> Line {
    if namespace.is_empty() { line } else { line.option("namespace", namespace) }
}

/// Where the kubeconfig of a DPU cluster is kept, as shell.
pub(super) fn kubeconfig(cluster: &str) -> String {
    format!("\"${{DPU_KUBECONFIGS:?}}\"/{}", quote(cluster))
}

/// What applies what it reads, without a copy of it in an annotation, and again if need be.
pub(super) fn apply(kubectl: Line) -> Line {
    kubectl.raw("apply --server-side --force-conflicts --filename=-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_program_as_they_are() {
        for (word, quoted) in [
            ("worker1", "worker1"),
            ("k8s.ovn.org/zone-name=worker1", "k8s.ovn.org/zone-name=worker1"),
            ("", "''"),
            ("$oauthtoken", "'$oauthtoken'"),
            ("it's", r"'it'\''s'"),
            ("a;rm -r b", "'a;rm -r b'"),
            ("=ls", "'=ls'"),
            ("~root", "'~root'"),
            ("a\nb", "'a\nb'"),
        ] {
            assert_eq!(quote(word), quoted, "{word}");
        }
    }

    #[test]
    fn variables_have_names_that_shells_take() {
        assert_eq!(variable(&["ngc-doca-oci-helm", "url"]), "NGC_DOCA_OCI_HELM_URL");
        assert_eq!(variable(&["0a", ".dockerconfigjson"]), "_0A__DOCKERCONFIGJSON");
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        let word = "x".repeat(60);
        let line = Line::of("echo").words([word.as_str(), &word]).pipe(&Line::of("cat").word("-")).end();
        assert_eq!(line, format!("echo {word} \\\n    {word} |\n    cat -"));
    }
}
