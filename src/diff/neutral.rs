//! Names that are other ones in every cluster, taken out of texts, so that what is equal but for them reads the same. PURE.
//!
//! In: the names of a site, its clusters, hosts and cards. Out: a text in which `<site>`, `<cluster>`, `<host>` and `<card>`
//! stand for them.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::render::RenderedSite;

/// Longer texts are taken as they are.
const MOST_BYTES: usize = 512;

/// What names stand for.
#[derive(Debug)]
pub(super) struct Names(BTreeMap<String, &'static str>);

impl Names {
    /// The names of both sides of a site.
    pub(super) fn of<'a>(site: &str, sides: impl Iterator<Item = &'a RenderedSite>) -> Self {
        let mut names = BTreeMap::new();
        for side in sides {
            for host in &side.inventory.hosts {
                names.insert(host.name.clone(), "<host>");
                names.extend(host.dpus.iter().map(|dpu| (dpu.node_name.clone(), "<card>")));
            }
            names.extend(side.site.clusters.iter().map(|cluster| (cluster.name.clone(), "<cluster>")));
            names.insert(side.name.clone(), "<site>");
        }
        names.entry(site.to_owned()).or_insert("<site>");
        Self(names)
    }

    /// The text without them. A name counts where it stands between dashes, dots and the like, the longest first.
    pub(super) fn text(&self, text: &str) -> String {
        if text.len() > MOST_BYTES {
            return text.to_owned();
        }
        // Where a name may begin and end.
        let part = |c: char| c.is_alphanumeric();
        let mut bounds: Vec<usize> = vec![0];
        let mut last = false;
        for (at, c) in text.char_indices() {
            if part(c) != last && at > 0 {
                bounds.push(at);
            }
            last = part(c);
        }
        bounds.push(text.len());
        let (mut out, mut from) = (String::with_capacity(text.len()), 0);
        while from + 1 < bounds.len() {
            let found =
                (from + 1..bounds.len()).rev().find_map(|to| Some((to, *self.0.get(&text[bounds[from]..bounds[to]])?)));
            match found {
                Some((to, stands_for)) => {
                    out.push_str(stands_for);
                    from = to;
                }
                None => {
                    out.push_str(&text[bounds[from]..bounds[from + 1]]);
                    from += 1;
                }
            }
        }
        out
    }

    /// The same for every text in a value.
    pub(super) fn json(&self, value: &Json) -> Json {
        match value {
            Json::String(text) => Json::String(self.text(text)),
            Json::Array(items) => Json::Array(items.iter().map(|item| self.json(item)).collect()),
            Json::Object(map) => map.iter().map(|(key, value)| (self.text(key), self.json(value))).collect(),
            other => other.clone(),
        }
    }
}
