//! What Kubernetes takes as a name, a label key and a label value. PURE.
//!
//! Each function says what is wrong, or nothing. Lengths are told apart from characters, because the advice differs.

/// Longest object name, where a DNS subdomain is wanted.
pub(super) const NAME: usize = 253;
/// Longest DNS label, label value and name part of a label key.
pub(super) const LABEL: usize = 63;
/// Longest name of a Helm release.
pub(super) const RELEASE: usize = 53;
/// Longest name of a Linux network interface.
pub(super) const INTERFACE: usize = 15;

/// What must hold for the name of an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NameForm {
    /// DNS-1123 subdomain: what most kinds want.
    Subdomain,
    /// DNS-1123 label: Namespaces.
    Label,
    /// DNS-1035 label, which begins with a letter: Services.
    Service,
    /// Anything that can be a segment of a path: RBAC.
    Segment,
}

impl NameForm {
    /// The form that a kind wants.
    pub(super) fn of(group: &str, kind: &str) -> Self {
        match (group, kind) {
            ("", "Namespace") => Self::Label,
            ("", "Service") => Self::Service,
            ("rbac.authorization.k8s.io" | "authorization.openshift.io", _) => Self::Segment,
            // OpenShift's aggregated API servers have rules of their own.
            ("user.openshift.io" | "image.openshift.io" | "oauth.openshift.io", _) => Self::Segment,
            _ => Self::Subdomain,
        }
    }

    /// The most characters it may have.
    pub(super) fn limit(self) -> usize {
        match self {
            Self::Label | Self::Service => LABEL,
            Self::Subdomain | Self::Segment => NAME,
        }
    }

    /// What is wrong with the characters of `name`.
    pub(super) fn fault(self, name: &str) -> Option<&'static str> {
        match self {
            Self::Subdomain => subdomain_fault(name),
            Self::Label => dns_label_fault(name),
            Self::Service if name.starts_with(|c: char| c.is_ascii_digit()) => {
                Some("the name of a Service begins with a letter")
            }
            Self::Service => dns_label_fault(name),
            Self::Segment => (name.contains(['/', '%']) || name == "." || name == "..")
                .then_some("`/`, `%`, `.` and `..` cannot be part of a path"),
        }
    }
}

fn is_lower(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// What is wrong with a DNS-1123 label, its length aside.
pub(super) fn dns_label_fault(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) if is_lower(*first) && is_lower(*last) => bytes
            .iter()
            .any(|&c| !is_lower(c) && c != b'-')
            .then_some("only lower-case letters, digits and `-` are allowed"),
        (Some(_), Some(_)) => Some("it must begin and end with a lower-case letter or a digit"),
        _ => Some("it is empty"),
    }
}

/// What is wrong with a DNS-1123 subdomain, its length aside.
pub(super) fn subdomain_fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.bytes().any(|c| !is_lower(c) && c != b'-' && c != b'.') {
        return Some("only lower-case letters, digits, `-` and `.` are allowed");
    }
    text.split('.')
        .any(|part| dns_label_fault(part).is_some())
        .then_some("each part between dots must begin and end with a lower-case letter or a digit")
}

fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric()
}

/// Of a label value and the name part of a key, neither empty.
fn word_fault(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    if bytes.iter().any(|&c| !is_word(c) && !b"-_.".contains(&c)) {
        return Some("only letters, digits, `-`, `_` and `.` are allowed");
    }
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) if is_word(*first) && is_word(*last) => None,
        _ => Some("it must begin and end with a letter or a digit"),
    }
}

/// What is wrong with a label value, its length aside; an empty one is fine.
pub(super) fn label_value_fault(text: &str) -> Option<&'static str> {
    if text.is_empty() { None } else { word_fault(text) }
}

/// What is wrong with the key of a label or annotation.
pub(super) fn label_key_fault(key: &str) -> Option<&'static str> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if name.contains('/') {
        return Some("it has more than one `/`");
    }
    if name.is_empty() {
        return Some("its name part is empty");
    }
    if name.len() > LABEL {
        return Some("its name part has more than 63 characters");
    }
    match prefix {
        Some(prefix) if prefix.len() > NAME => Some("the part before `/` has more than 253 characters"),
        Some(prefix) if subdomain_fault(prefix).is_some() => Some("the part before `/` must be a DNS name"),
        _ => word_fault(name),
    }
}

/// `text` as a DNS name, where a small change makes it one.
pub(super) fn as_dns_name(text: &str) -> Option<String> {
    let better: String =
        text.chars().map(|c| if c == '_' || c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect();
    (better != text && subdomain_fault(&better).is_none()).then_some(better)
}

/// What is wrong with the name of a Linux network interface.
pub(super) fn interface_fault(name: &str) -> Option<&'static str> {
    if name.len() > INTERFACE {
        Some("Linux takes at most 15 characters")
    } else if name.is_empty() {
        Some("it is empty")
    } else if name == "." || name == ".." {
        Some("Linux does not take `.` and `..`")
    } else {
        name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control())
            .then_some("Linux does not take `/`, `:` and blanks")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_kind() {
        assert_eq!(NameForm::of("", "ConfigMap").fault("a.b-c"), None);
        assert!(NameForm::of("", "Namespace").fault("a.b").is_some());
        assert!(NameForm::of("", "Service").fault("0a").is_some());
        assert_eq!(NameForm::of("rbac.authorization.k8s.io", "ClusterRole").fault("system:Node"), None);
        for bad in ["", "A", "a_b", "-a", "a-", "a..b", "a.-b"] {
            assert!(subdomain_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn label_keys_and_values() {
        for good in ["a", "A_b.c-D", "svc.dpu.nvidia.com/service", "x/1"] {
            assert_eq!(label_key_fault(good), None, "{good}");
        }
        for bad in ["", "/a", "a/", "a/b/c", "a b", "-a", "Up/x"] {
            assert!(label_key_fault(bad).is_some(), "{bad}");
        }
        assert_eq!(label_value_fault(""), None);
        assert!(label_value_fault("not a label!").is_some());
        assert_eq!(as_dns_name("P0_If").as_deref(), Some("p0-if"));
    }
}
