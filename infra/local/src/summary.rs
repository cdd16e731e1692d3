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
    /// Jobs that may exist and whose ids were lost.
    pub jobs_possibly_lost: u64,
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
        // Bucket by bucket: a large run's rows are never all in memory.
        let mut buckets = BTreeMap::new();
        for bucket in ledger.buckets_of(&run.run).await? {
            let jobs = ledger.jobs(&bucket).await?.into_iter().filter(|job| job.run == run.run);
            buckets.insert(bucket.to_string(), jobs.map(|job| job.job.to_string()).collect());
        }
        let totals = match &run.totals {
            Some(totals) => totals.clone(),
            None => ledger.accounts(run, cursor).await?.totals,
        };
        let took_ms = run.ended_ms.unwrap_or(now_ms) - run.started_ms;
        Ok(Self {
            run: run.run.to_string(),
            state: run.state,
            users: cursor.tally.users,
            patches: totals.patches,
            jobs: totals.jobs,
            errors: totals.errors,
            jobs_possibly_lost: totals.jobs_possibly_lost,
            generations: run.generation,
            seconds: Duration::from_millis(took_ms.max(0) as u64).as_secs(),
            buckets,
            reason: run.reason.as_deref().map(show::flags),
            tally: cursor.tally.clone(),
        })
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self.state {
            State::Complete => 0,
            State::CompleteWithErrors => 2,
            State::Incomplete => 3,
            State::Paused => 4,
            _ => 1,
        }
    }

    /// Writes it for a person, and the object on the last line.
    pub fn show(&self, json_only: bool) {
        if !json_only {
            self.words().iter().for_each(|line| show::line(line));
        }
        show::json(self);
    }

    fn words(&self) -> Vec<String> {
        let took = show::duration(Duration::from_secs(self.seconds));
        let ended = if self.state.ended() { "ended" } else { "is" };
        let mut lines = vec![format!("Run {} {ended} {} after {took}.", self.run, self.state)];
        lines.extend(self.reason.iter().map(|reason| format!("  {reason}")));
        lines.push(format!(
            "  {} users seen, {} patched in {} bulk jobs, {} in error, {} right already{}",
            self.users,
            self.patches,
            self.jobs,
            self.errors,
            self.tally.same,
            if self.generations > 1 { format!(", {} generations", self.generations) } else { String::new() },
        ));
        lines.extend(possibly_lost(self.jobs_possibly_lost));
        lines.extend(left_alone(&self.tally));
        if self.buckets.is_empty() {
            return lines;
        }
        lines.push("  Jobs by bucket:".to_owned());
        for (index, (bucket, jobs)) in self.buckets.iter().enumerate() {
            let hidden = self.buckets.len().saturating_sub(BUCKETS_SHOWN);
            if hidden > 0 && index == BUCKETS_SHOWN / 2 {
                lines.push(format!("    … {hidden} more buckets; `jobs` lists them"));
            }
            if hidden > 0 && (BUCKETS_SHOWN / 2..BUCKETS_SHOWN / 2 + hidden).contains(&index) {
                continue;
            }
            let some: Vec<&str> = jobs.iter().take(JOBS_SHOWN).map(String::as_str).collect();
            let more = if jobs.len() > some.len() { " …" } else { "" };
            lines.push(format!("    {bucket}  {} jobs: {}{more}", jobs.len(), some.join(" ")));
        }
        lines
    }
}

/// Who was left alone and why, with the table keys that missed most.
pub fn left_alone(tally: &Tally) -> Vec<String> {
    let reasons = tally.left_alone.iter();
    let mut lines: Vec<String> =
        reasons.map(|(reason, users)| format!("  {users} left alone: {}", reason.replace('_', " "))).collect();
    if !tally.missed.is_empty() {
        let mut missed: Vec<_> = tally.missed.iter().collect();
        missed.sort_by_key(|(_, users)| std::cmp::Reverse(**users));
        let words: Vec<String> = missed.iter().map(|(key, users)| format!("{key} ×{users}")).collect();
        lines.push(format!("  Table keys that missed most: {}", words.join(", ")));
    }
    lines
}

/// What to know of jobs whose ids were lost, if there may be any.
pub fn possibly_lost(jobs: u64) -> Option<String> {
    (jobs > 0).then(|| {
        format!(
            "  {jobs} bulk jobs may exist besides, whose ids were lost with an answer or in a crash: their users were \
             submitted again"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_may_be_lost_are_told() {
        let summary = |jobs_possibly_lost| Summary {
            run: "p.1".to_owned(),
            state: State::Complete,
            users: 5,
            patches: 5,
            jobs: 1,
            errors: 0,
            jobs_possibly_lost,
            generations: 1,
            seconds: 1,
            buckets: BTreeMap::new(),
            reason: None,
            tally: Tally::default(),
        };
        assert_eq!(serde_json::to_value(summary(2)).unwrap()["jobs_possibly_lost"], 2);
        assert!(summary(2).words().iter().any(|line| line.contains("2 bulk jobs may exist")));
        assert_eq!(summary(0).words().len(), 2, "{:?}", summary(0).words());
    }
}
