//! Whether this agent can program this card, and has. PURE.
//!
//! In: the state of [`Control`], the time. Out: a [`Check`] for each thing that belongs to it; what each means is in
//! [`crate::agent::health`].

use std::time::Duration;

use super::{Bridge, Control, GRACE, locked};
use crate::agent::health::{Check, Verdict, listed};
use crate::agent::observed::System;
use crate::agent::ovsdb::session::Lock;

impl Control {
    /// What is said to who asks whether the agent is ready.
    #[must_use]
    pub fn readiness(&self, now: Duration) -> Vec<Check> {
        vec![
            self.objects_known(),
            Check::unless("database", self.database_away(now)),
            Check::unless("lock", self.without_lock(now)),
            Check::unless("bridge", self.bridge_away(now)),
            Check::unless("synced", (!self.synced).then(|| self.why_not_synced())),
        ]
    }

    fn objects_known(&self) -> Check {
        let problems = listed(self.given.problems.iter());
        let verdict = match (self.given.complete, problems.is_empty()) {
            (true, true) => Verdict::Holds,
            (true, false) => Verdict::But(format!("{problems}; what was known before still counts")),
            (false, true) => Verdict::Fails("not every kind of object was read yet".to_owned()),
            (false, false) => Verdict::Fails(format!("not every kind of object was read yet: {problems}")),
        };
        Check { name: "objects", verdict }
    }

    fn is_late(since: Duration, now: Duration) -> bool {
        now > since.saturating_add(GRACE)
    }

    fn database_away(&self, now: Duration) -> Option<String> {
        let since = self.away_since.filter(|_| !self.database.connected)?;
        let error = self.database.error.as_deref().unwrap_or("there is no connection to the database yet");
        (!self.synced || Self::is_late(since, now)).then(|| format!("SwitchAway: {error}"))
    }

    fn without_lock(&self, now: Duration) -> Option<String> {
        if self.is_locked_out() {
            let problem = locked();
            return Some(format!("{}: {}", problem.reason, problem.message));
        }
        let since = self.away_since.filter(|_| self.database.lock != Lock::Held)?;
        (!self.synced || Self::is_late(since, now)).then(|| "the database has not given the lock yet".to_owned())
    }

    fn bridge_away(&self, now: Duration) -> Option<String> {
        if self.database.connected && !self.observed.bridges.contains_key(&self.settings.bridge) {
            return Some(format!("BridgeMissing: there is no bridge `{}`", self.settings.bridge));
        }
        let Bridge::Closed { since, error } = &self.bridge else { return None };
        (!self.synced || Self::is_late(*since, now)).then(|| format!("SwitchAway: {error}"))
    }

    fn why_not_synced(&self) -> String {
        let System { next_cfg, cur_cfg, .. } = self.observed.system;
        let reasons = [
            (!self.given.complete || self.away_since.is_some(), "the objects or the switch are not known yet"),
            (self.bridge != Bridge::Open, "the flows cannot be read"),
            (self.busy, "the switch is being programmed"),
            (cur_cfg < next_cfg, "ovs-vswitchd has not acted on the latest change yet"),
        ];
        let first = reasons.into_iter().find(|(holds, _)| *holds);
        first.map_or("the switch is not as it was asked to be; it is asked again", |(_, why)| why).to_owned()
    }
}
