//! The shared cases of the plugin, put to Argo CD itself: each is an Application, or what the form of the parameters asks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::application::{Application, Spec};
use crate::lab::{Lab, lab, plugin};
use crate::plugin_cases::{Case, Change, Verb, cases};

/// What our plugin is called with, as words.
fn argv(verb: Verb) -> &'static str {
    match verb {
        Verb::Generate => "dpu-render plugin generate",
        Verb::Parameters => "dpu-render plugin parameters",
    }
}

/// Repositories by what is changed in them.
#[derive(Default)]
struct Repositories(BTreeMap<String, String>);

impl Repositories {
    fn url(&mut self, lab: &Lab, case: &Case) -> String {
        let changes: Vec<(&String, Option<&String>)> = case
            .changes
            .iter()
            .map(|(path, change)| match change {
                Change::Text(text) | Change::Link(text) => (path, Some(text)),
                Change::Gone => (path, None),
            })
            .collect();
        let next = self.0.len();
        let url = self.0.entry(format!("{changes:?}")).or_insert_with(|| {
            let repository = lab.repository(&format!("cases-{next}"));
            case.write_repository(repository.path());
            repository.commit("the repository");
            repository.url()
        });
        url.clone()
    }
}

/// What is wrong with what an Application shows.
fn compare(case: &Case, application: &Application) -> Result<(), String> {
    let expected = case.error(&application.name, argv(case.verb));
    match (application.wait_compared(), expected) {
        (Ok(objects), None) => {
            let wanted = case.objects();
            let fits = wanted.as_ref().is_none_or(|wanted| *wanted == objects);
            if fits { Ok(()) } else { Err(format!("{objects:#?}\nexpected {wanted:#?}")) }
        }
        (Err(error), Some(expected)) if expected.fits(&error) => Ok(()),
        (Err(error), expected) => Err(format!("{error}\nexpected {expected:#?}")),
        (Ok(objects), Some(expected)) => Err(format!("{objects:#?}\nexpected {expected:#?}")),
    }
}

/// What is wrong with what the form shows.
fn compare_form(case: &Case, said: &Value) -> Result<(), String> {
    let expected = case.error("", argv(case.verb));
    match (said["message"].as_str(), expected) {
        (None, None) if said["plugin"]["parametersAnnouncement"].is_array() => Ok(()),
        (Some(message), Some(expected)) if expected.fits(message) => Ok(()),
        (_, expected) => Err(format!("{said:#}\nexpected {expected:#?}")),
    }
}

#[test]
#[ignore = "needs the programs and the network of the lab: make e2e"]
fn every_shared_case() {
    let lab = lab();
    let mut repositories = Repositories::default();
    let (mut applications, mut wrong, mut specs) = (Vec::new(), Vec::new(), Vec::new());
    let all = cases();
    for case in all.iter().filter(|case| !case.only_program) {
        let url = repositories.url(lab, case);
        let source = json!({"repoURL": url, "targetRevision": "main", "path": case.path, "plugin": case.source_plugin(&plugin())});
        match case.verb {
            Verb::Parameters => {
                let said = lab.argo.app_details(&source).unwrap();
                wrong.extend(compare_form(case, &said).err().map(|wrong| format!("{}: {wrong}", case.name)));
            }
            Verb::Generate => {
                let mut spec = Spec::new(&format!("case-{}", case.application()), source);
                let paths = case.paths.clone().map(|paths| ("argocd.argoproj.io/manifest-generate-paths", paths));
                spec.annotations.extend(paths);
                applications.push((case, Application::named(lab, &spec.name)));
                specs.push(spec.object());
            }
        }
    }
    lab.management.kubectl.apply(&specs);
    for (case, application) in &applications {
        wrong.extend(compare(case, application).err().map(|wrong| format!("{}: {wrong}", case.name)));
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n\n"));
    assert!(applications.len() > 40, "{}", applications.len());
}
