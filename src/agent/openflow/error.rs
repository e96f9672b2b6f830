//! What a switch refuses, with OpenFlow's names for it.
//!
//! In: type, code and data of an error message. Out: a value, and its text. PURE.

use std::fmt;

/// An error message of the switch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SwitchError {
    /// `OFPET_*`.
    pub kind: u16,
    /// The code, which means something only with its type.
    pub code: u16,
    /// Text where a hello failed, else the beginning of the message that is refused.
    pub data: Vec<u8>,
}

/// Type, its name, and the names of its codes from 0: of the OpenFlow 1.4.0 specification, 7.5.4, without the prefixes.
const NAMES: &[(u16, &str, &[&str])] = &[
    (0, "HELLO_FAILED", &["INCOMPATIBLE", "EPERM"]),
    (
        1,
        "BAD_REQUEST",
        &[
            "BAD_VERSION",
            "BAD_TYPE",
            "BAD_MULTIPART",
            "BAD_EXPERIMENTER",
            "BAD_EXP_TYPE",
            "EPERM",
            "BAD_LEN",
            "BUFFER_EMPTY",
            "BUFFER_UNKNOWN",
            "BAD_TABLE_ID",
            "IS_SLAVE",
            "BAD_PORT",
            "BAD_PACKET",
            "MULTIPART_BUFFER_OVERFLOW",
            "MULTIPART_REQUEST_TIMEOUT",
            "MULTIPART_REPLY_TIMEOUT",
        ],
    ),
    (
        2,
        "BAD_ACTION",
        &[
            "BAD_TYPE",
            "BAD_LEN",
            "BAD_EXPERIMENTER",
            "BAD_EXP_TYPE",
            "BAD_OUT_PORT",
            "BAD_ARGUMENT",
            "EPERM",
            "TOO_MANY",
            "BAD_QUEUE",
            "BAD_OUT_GROUP",
            "MATCH_INCONSISTENT",
            "UNSUPPORTED_ORDER",
            "BAD_TAG",
            "BAD_SET_TYPE",
            "BAD_SET_LEN",
            "BAD_SET_ARGUMENT",
        ],
    ),
    (
        3,
        "BAD_INSTRUCTION",
        &[
            "UNKNOWN_INST",
            "UNSUP_INST",
            "BAD_TABLE_ID",
            "UNSUP_METADATA",
            "UNSUP_METADATA_MASK",
            "BAD_EXPERIMENTER",
            "BAD_EXP_TYPE",
            "BAD_LEN",
            "EPERM",
            "DUP_INST",
        ],
    ),
    (
        4,
        "BAD_MATCH",
        &[
            "BAD_TYPE",
            "BAD_LEN",
            "BAD_TAG",
            "BAD_DL_ADDR_MASK",
            "BAD_NW_ADDR_MASK",
            "BAD_WILDCARDS",
            "BAD_FIELD",
            "BAD_VALUE",
            "BAD_MASK",
            "BAD_PREREQ",
            "DUP_FIELD",
            "EPERM",
        ],
    ),
    (
        5,
        "FLOW_MOD_FAILED",
        &[
            "UNKNOWN",
            "TABLE_FULL",
            "BAD_TABLE_ID",
            "OVERLAP",
            "EPERM",
            "BAD_TIMEOUT",
            "BAD_COMMAND",
            "BAD_FLAGS",
            "CANT_SYNC",
            "BAD_PRIORITY",
        ],
    ),
    (9, "SWITCH_CONFIG_FAILED", &["BAD_FLAGS", "BAD_LEN", "EPERM"]),
    (15, "ASYNC_CONFIG_FAILED", &["INVALID", "UNSUPPORTED", "EPERM"]),
    (
        17,
        "BUNDLE_FAILED",
        &[
            "UNKNOWN",
            "EPERM",
            "BAD_ID",
            "BUNDLE_EXIST",
            "BUNDLE_CLOSED",
            "OUT_OF_BUNDLES",
            "BAD_TYPE",
            "BAD_FLAGS",
            "MSG_BAD_LEN",
            "MSG_BAD_XID",
            "MSG_UNSUP",
            "MSG_CONFLICT",
            "MSG_TOO_MANY",
            "MSG_FAILED",
            "TIMEOUT",
            "BUNDLE_IN_PROGRESS",
        ],
    ),
];

impl fmt::Display for SwitchError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, code, .. } = self;
        let Some((_, name, codes)) = NAMES.iter().find(|(number, ..)| number == kind) else {
            return write!(out, "error type {kind} code {code}");
        };
        match codes.get(usize::from(*code)) {
            Some(code) => write!(out, "{name} {code}")?,
            None => write!(out, "{name} code {code}")?,
        }
        match std::str::from_utf8(&self.data) {
            Ok(text) if *kind == 0 && !text.is_empty() => write!(out, " ({})", text.escape_debug()),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for SwitchError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_names_of_the_specification() {
        let say = |kind, code, data: &[u8]| SwitchError { kind, code, data: data.to_vec() }.to_string();
        assert_eq!(say(2, 4, &[5]), "BAD_ACTION BAD_OUT_PORT");
        assert_eq!(say(17, 9, &[]), "BUNDLE_FAILED MSG_BAD_XID");
        assert_eq!(say(17, 99, &[]), "BUNDLE_FAILED code 99");
        assert_eq!(say(0, 0, b"no 1.4"), "HELLO_FAILED INCOMPATIBLE (no 1.4)");
        assert_eq!(say(77, 1, &[]), "error type 77 code 1");
    }
}
