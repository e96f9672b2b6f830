//! Phases as text, Markdown and JSON. PURE.

use std::fmt::Write as _;

use serde_json::json;

use super::Phase;

const WIDTH: usize = 100;

/// For a terminal: numbered, commands indented so that they can be copied.
#[must_use]
pub fn text(site: &str, phases: &[Phase]) -> String {
    let mut out = format!("Steps for {site}, beside syncing\n");
    for (phase, number) in phases.iter().zip(1..) {
        let _ = write!(out, "\n{number}. {}\n", phase.title);
        for (step, part) in phase.steps.iter().zip(1..) {
            let label = format!("{number}.{part} ");
            let _ = writeln!(out, "\n{label}{}", wrapped(&step.text, label.len()));
            if !step.commands.is_empty() {
                out.push('\n');
            }
            for line in step.commands.iter().flat_map(|command| command.lines()) {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
    out
}

/// With a check box per step, for an issue or a run book.
#[must_use]
pub fn markdown(site: &str, phases: &[Phase]) -> String {
    let mut out = format!("# Steps for {}, beside syncing\n", escaped(site));
    for (phase, number) in phases.iter().zip(1..) {
        let _ = write!(out, "\n## {number}. {}\n", phase.title);
        for step in &phase.steps {
            let _ = write!(out, "\n- [ ] {}\n", escaped(&step.text));
            if step.commands.is_empty() {
                continue;
            }
            out.push_str("\n  ```shell\n");
            for line in step.commands.iter().flat_map(|command| command.lines()) {
                let _ = writeln!(out, "  {line}");
            }
            out.push_str("  ```\n");
        }
    }
    out
}

/// One line.
#[must_use]
pub fn json(site: &str, phases: &[Phase]) -> String {
    let phases: Vec<_> = phases
        .iter()
        .map(|phase| {
            let steps = phase.steps.iter().map(|step| json!({"text": step.text, "commands": step.commands}));
            json!({"title": phase.title, "steps": steps.collect::<Vec<_>>()})
        })
        .collect();
    format!("{}\n", json!({"site": site, "phases": phases}))
}

/// `text` in lines that begin where the first one does, `indent` characters from the left.
fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut column = indent;
    for word in text.split_whitespace() {
        if column > indent && column + 1 + word.len() > WIDTH {
            let _ = write!(out, "\n{:indent$}", "");
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out
}

/// What Markdown would take for its own.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>') {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::Step;

    fn phases() -> Vec<Phase> {
        let step = Step { text: "Label <node>.".to_owned(), commands: vec!["a |\n    b".to_owned()] };
        vec![Phase { title: "Nodes", steps: vec![step] }]
    }

    #[test]
    fn commands_can_be_copied() {
        let text = text("lab1", &phases());
        assert_eq!(text, "Steps for lab1, beside syncing\n\n1. Nodes\n\n1.1 Label <node>.\n\n    a |\n        b\n");
        let markdown = markdown("lab_1", &phases());
        let expected = "# Steps for lab\\_1, beside syncing\n\n## 1. Nodes\n\n- [ ] Label \\<node\\>.\n\n  ```shell\n  a |\n      b\n  ```\n";
        assert_eq!(markdown, expected);
    }

    #[test]
    fn json_is_one_line_per_site() {
        let json = json("lab1", &phases());
        assert_eq!(json.lines().count(), 1);
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["phases"][0]["steps"][0]["commands"][0], "a |\n    b");
    }

    #[test]
    fn long_texts_are_wrapped() {
        let text = "word ".repeat(40);
        let wrapped = wrapped(&text, 4);
        assert!(wrapped.lines().enumerate().all(|(at, line)| line.len() <= WIDTH - if at == 0 { 4 } else { 0 }));
        assert_eq!(wrapped.split_whitespace().count(), 40);
    }
}
