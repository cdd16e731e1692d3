//! What a dry run found.

use std::collections::BTreeMap;
use std::time::Duration;

use intercom_bulk::job::ITEMS_MAX;
use intercom_bulk::ledger::{Changes, Ledger, LedgerError, Quota, SAMPLE, Share, WINDOW_MS};
use intercom_bulk::patch::{Patch, Target};
use intercom_bulk::run::{Cursor, Run, State};
use serde::Serialize;
use serde_json::Value;

use crate::cost::Used;
use crate::show;
use crate::summary::left_alone;

/// Changes shown.
const SHOWN: usize = 10;

/// What would happen.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The plan.
    pub plan: String,
    /// How the dry run ended.
    pub state: State,
    /// Users seen.
    pub users: u64,
    /// Users that would change.
    pub to_change: u64,
    /// Users whose values are right.
    pub same: u64,
    /// Users left alone, by reason.
    pub left_alone: BTreeMap<String, u64>,
    /// Users in error.
    pub errors: u64,
    /// Table keys that missed most.
    pub missed: BTreeMap<String, u64>,
    /// Bulk jobs that the changes make, at best.
    pub jobs: u64,
    /// Seconds that submitting takes at the quota.
    pub seconds_at_quota: u64,
    /// What that costs on AWS, in US dollars at list prices.
    pub aws_dollars: f64,
    /// Some of the changes.
    pub sample: Vec<Patch>,
    /// Why the dry run ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Found {
    /// Makes it from a dry run's rows.
    pub async fn read(ledger: &Ledger, run: &Run, cursor: &Cursor, quota: Quota) -> Result<Self, LedgerError> {
        let tally = &cursor.tally;
        let changes = match ledger.changes(&run.run, SAMPLE).await {
            Ok(changes) => changes,
            Err(LedgerError::Missing { .. }) => Changes::default(),
            Err(error) => return Err(error),
        };
        let sample = changes.parts.into_iter().flat_map(|part| part.patches).take(SHOWN).collect();
        let reach = u64::from(quota.reach(Share::Submit { scroll_open: false }));
        let seconds = tally.patches.div_ceil(reach) * (WINDOW_MS as u64 / 1000);
        let jobs = tally.patches.div_ceil(ITEMS_MAX as u64);
        let used = Used::estimate(f64::from(cursor.page), jobs as f64, seconds as f64);
        Ok(Self {
            plan: run.plan.clone(),
            state: run.state,
            users: tally.users,
            to_change: tally.patches,
            same: tally.same,
            left_alone: tally.left_alone.clone(),
            errors: tally.errors,
            missed: tally.missed.clone(),
            jobs,
            seconds_at_quota: seconds,
            aws_dollars: used.dollars(),
            sample,
            reason: run.reason.clone(),
        })
    }

    /// 2 where something would change, 1 where the dry run itself failed.
    pub fn exit_code(&self) -> u8 {
        match self.state {
            State::Complete | State::CompleteWithErrors if self.to_change == 0 && self.errors == 0 => 0,
            State::Complete | State::CompleteWithErrors | State::Incomplete => 2,
            _ => 1,
        }
    }

    /// Writes it for a person, or as one object.
    pub fn show(&self, json_only: bool) {
        if json_only {
            return show::json(self);
        }
        show::line(&format!("Plan {}: {} of {} users would change.", self.plan, self.to_change, self.users));
        if let Some(reason) = &self.reason {
            show::line(&format!("  The dry run ended {}: {reason}", self.state));
        }
        show::line(&format!("  {} right already, {} in error", self.same, self.errors));
        let tally = intercom_bulk::run::Tally {
            left_alone: self.left_alone.clone(),
            missed: self.missed.clone(),
            ..Default::default()
        };
        left_alone(&tally);
        if self.to_change > 0 {
            let took = show::duration(Duration::from_secs(self.seconds_at_quota));
            show::line(&format!("  {} bulk jobs, {took} at the quota, ${:.4} on AWS", self.jobs, self.aws_dollars));
            show::line("  Some of the changes:");
            for line in lines(&self.sample) {
                show::line(&line);
            }
        }
    }
}

/// Changes as lines, before → after, at most ten users.
pub fn lines(patches: &[Patch]) -> Vec<String> {
    let mut lines = Vec::new();
    for patch in patches.iter().take(SHOWN) {
        for change in &patch.changes {
            let target = match &change.target {
                Target::Attribute(name) => format!("{name:?}"),
                Target::Field(name) => name.clone(),
                Target::CompanyName(company) => format!("name of company {company}"),
            };
            let before = change.replaced.as_ref().map_or_else(|| "(absent)".to_owned(), Value::to_string);
            lines.push(format!("    {}  {target}: {before} → {}", patch.user, change.new));
        }
    }
    lines
}
