//! The end of a run, for a person and as one JSON object.

use std::collections::BTreeMap;
use std::time::Duration;

use intercom_bulk::ledger::{JobRow, Ledger, LedgerError};
use intercom_bulk::run::{Cursor, Run, State, Tally};
use serde::Serialize;

use crate::show;

/// Buckets that are shown in full; of more, the first and the last.
const BUCKETS_SHOWN: usize = 12;
/// Job ids shown of a bucket.
const JOBS_SHOWN: usize = 3;

/// What `demo` and `run` end with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The run.
    pub run: String,
    /// Its state.
    pub state: State,
    /// Users seen.
    pub users: u64,
    /// Users that jobs took.
    pub patches: u64,
    /// Bulk jobs.
    pub jobs: u64,
    /// Users that ended in an error.
    pub errors: u64,
    /// Attempts at the scroll.
    pub generations: u32,
    /// Seconds from the run's start to its end.
    pub seconds: u64,
    /// Job ids by bucket.
    pub buckets: BTreeMap<String, Vec<String>>,
    /// Why it ended so, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip)]
    tally: Tally,
}

/// The jobs of a run by bucket, from the ledger.
pub async fn jobs(ledger: &Ledger, run: &Run) -> Result<BTreeMap<String, Vec<JobRow>>, LedgerError> {
    let mut by_bucket = BTreeMap::new();
    for bucket in ledger.buckets_of(&run.run).await? {
        let jobs: Vec<JobRow> = ledger.jobs(&bucket).await?.into_iter().filter(|job| job.run == run.run).collect();
        by_bucket.insert(bucket.to_string(), jobs);
    }
    Ok(by_bucket)
}

impl Summary {
    /// Makes it from the ledger.
    pub async fn read(ledger: &Ledger, run: &Run, cursor: &Cursor, now_ms: i64) -> Result<Self, LedgerError> {
        let jobs = jobs(ledger, run).await?;
        let totals = match &run.totals {
            Some(totals) => totals.clone(),
            None => ledger.accounts(run, cursor).await?.totals,
        };
        let took_ms = run.ended_ms.unwrap_or(now_ms) - run.started_ms;
        let ids = |jobs: Vec<JobRow>| jobs.into_iter().map(|job| job.job.to_string()).collect();
        Ok(Self {
            run: run.run.to_string(),
            state: run.state,
            users: cursor.tally.users,
            patches: totals.patches,
            jobs: totals.jobs,
            errors: totals.errors,
            generations: run.generation,
            seconds: Duration::from_millis(took_ms.max(0) as u64).as_secs(),
            buckets: jobs.into_iter().map(|(bucket, jobs)| (bucket, ids(jobs))).collect(),
            reason: run.reason.clone(),
            tally: cursor.tally.clone(),
        })
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self.state {
            State::Complete => 0,
            State::CompleteWithErrors | State::Incomplete | State::Paused => 2,
            _ => 1,
        }
    }

    /// Writes it for a person, and the object on the last line.
    pub fn show(&self, json_only: bool) {
        if !json_only {
            self.words();
        }
        show::json(self);
    }

    fn words(&self) {
        let took = show::duration(Duration::from_secs(self.seconds));
        show::line(&format!("Run {} ended {} after {took}.", self.run, self.state));
        if let Some(reason) = &self.reason {
            show::line(&format!("  {reason}"));
        }
        show::line(&format!(
            "  {} users seen, {} patched in {} bulk jobs, {} in error, {} right already{}",
            self.users,
            self.patches,
            self.jobs,
            self.errors,
            self.tally.same,
            if self.generations > 1 { format!(", {} generations", self.generations) } else { String::new() },
        ));
        left_alone(&self.tally);
        if self.buckets.is_empty() {
            return;
        }
        show::line("  Jobs by bucket:");
        for (index, (bucket, jobs)) in self.buckets.iter().enumerate() {
            let hidden = self.buckets.len().saturating_sub(BUCKETS_SHOWN);
            if hidden > 0 && index == BUCKETS_SHOWN / 2 {
                show::line(&format!("    … {hidden} more buckets; `jobs` lists them"));
            }
            if hidden > 0 && (BUCKETS_SHOWN / 2..BUCKETS_SHOWN / 2 + hidden).contains(&index) {
                continue;
            }
            let some: Vec<&str> = jobs.iter().take(JOBS_SHOWN).map(String::as_str).collect();
            let more = if jobs.len() > some.len() { " …" } else { "" };
            show::line(&format!("    {bucket}  {} jobs: {}{more}", jobs.len(), some.join(" ")));
        }
    }
}

/// Who was left alone and why, with the table keys that missed most.
pub fn left_alone(tally: &Tally) {
    for (reason, users) in &tally.left_alone {
        show::line(&format!("  {users} left alone: {}", reason.replace('_', " ")));
    }
    if !tally.missed.is_empty() {
        let mut missed: Vec<_> = tally.missed.iter().collect();
        missed.sort_by_key(|(_, users)| std::cmp::Reverse(**users));
        let words: Vec<String> = missed.iter().map(|(key, users)| format!("{key} ×{users}")).collect();
        show::line(&format!("  Table keys that missed most: {}", words.join(", ")));
    }
}
