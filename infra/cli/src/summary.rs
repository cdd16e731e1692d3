//! The summary of a run, as text or as one JSON object.

mod next;

use std::collections::BTreeMap;
use std::time::Duration;

use intercom_bulk::domain::api::ApiVersion;
use intercom_bulk::domain::run::{
    Counted, Cursor, OftenAgain, ReadBackTotals, Retry, Run, SavedPreview, State, Tally, Undo,
};
use intercom_bulk::ledger::{JobRow, Ledger, LedgerError};
use serde::Serialize;

use crate::error_kinds::{self, Kind, kinds};
use crate::output::{self, count};
use crate::read_back::read_back;
pub(crate) use next::{Repeated, exit_code};

/// Maximum number of buckets to list in full; otherwise the first and the last are listed.
const BUCKETS_SHOWN: usize = 12;

/// The final output of `demo` and `run`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) run: String,
    pub(crate) state: State,
    /// Users read by the last generation.
    pub(crate) users: u64,
    /// The number of users by Intercom's count, if the run reads all users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
    #[serde(flatten)]
    pub(crate) counted: Counted,
    /// Distinct users in jobs.
    pub(crate) sent: u64,
    /// Items of the jobs. A resent user counts again.
    pub(crate) patches: u64,
    pub(crate) jobs: u64,
    /// Jobs without a known end.
    pub(crate) jobs_open: u64,
    pub(crate) errors: u64,
    pub(crate) errors_by_code: BTreeMap<String, Kind>,
    /// Jobs that may exist but whose ids are unknown.
    pub(crate) jobs_possibly_lost: u64,
    /// Attempts at reading all pages.
    pub(crate) generations: u32,
    /// Seconds from the run's start to its end.
    pub(crate) seconds: u64,
    /// Job ids by bucket.
    pub(crate) buckets: BTreeMap<String, Vec<String>>,
    /// The check of written values, if the run made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_back: Option<ReadBackTotals>,
    /// Targets that were set again for most users that the previous run wrote.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) set_again: Vec<OftenAgain>,
    /// The reason of the end, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The version of the API, and the reason for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api: Option<ApiVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_reason: Option<String>,
    /// The users of an earlier run that it retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retries: Option<Retry>,
    /// The saved preview whose changes it writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) saved: Option<SavedPreview>,
    /// The run that it undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) undoes: Option<Undo>,
    /// The way in which the users were sent, as text.
    #[serde(skip)]
    sent_in: String,
    #[serde(skip)]
    tally: Tally,
    #[serde(skip)]
    stopped_by: Option<&'static str>,
    /// An operator paused it.
    #[serde(skip)]
    held: bool,
    #[serde(skip)]
    dry_run: bool,
}

/// Returns the jobs of a run by bucket, from the ledger.
pub(crate) async fn jobs(ledger: &Ledger, run: &Run) -> Result<BTreeMap<String, Vec<JobRow>>, LedgerError> {
    let mut by_bucket = BTreeMap::new();
    for bucket in ledger.buckets_of(&run.id).await? {
        let jobs: Vec<JobRow> = ledger.jobs(&bucket).await?.into_iter().filter(|job| job.run == run.id).collect();
        by_bucket.insert(bucket.to_string(), jobs);
    }
    Ok(by_bucket)
}

impl Summary {
    /// Creates it from the ledger.
    pub(crate) async fn read(ledger: &Ledger, run: &Run, cursor: &Cursor, now_ms: i64) -> Result<Self, LedgerError> {
        // Bucket by bucket: a large run's rows would not fit in memory.
        let mut buckets = BTreeMap::new();
        for bucket in ledger.buckets_of(&run.id).await? {
            let jobs = ledger.jobs(&bucket).await?.into_iter().filter(|job| job.run == run.id);
            buckets.insert(bucket.to_string(), jobs.map(|job| job.job.to_string()).collect());
        }
        let accounts = ledger.accounts(run, cursor).await?;
        let totals = if run.state.ended() { accounts.totals.clone() } else { accounts.totals_at(now_ms) };
        let took_ms = run.ended_ms.unwrap_or(now_ms) - run.started_ms;
        let counted = Counted::of(&cursor.tally, &totals);
        let reason = run.reason.as_deref().map(output::flags);
        Ok(Self {
            run: run.id.to_string(),
            state: run.state,
            users: counted.read,
            count: totals.count,
            counted,
            sent: totals.sent,
            patches: totals.patches,
            jobs: totals.jobs,
            jobs_open: accounts.jobs_open(),
            errors: totals.errors,
            errors_by_code: error_kinds::read(ledger, run).await?,
            jobs_possibly_lost: totals.jobs_possibly_lost,
            generations: run.generation,
            seconds: Duration::from_millis(took_ms.max(0) as u64).as_secs(),
            buckets,
            read_back: run.totals.as_ref().and_then(|totals| totals.read_back.clone()),
            set_again: cursor.tally.set_again.most(),
            stopped_by: LIMITS.into_iter().find(|limit| reason.as_deref().is_some_and(|why| why.contains(limit))),
            reason,
            held: run.hold().is_some(),
            dry_run: run.limits.dry_run,
            api: run.version,
            api_reason: run.version_reason.clone(),
            retries: run.retry.clone(),
            saved: run.saved.clone(),
            undoes: run.undo.clone(),
            sent_in: output::sent_in(run, totals.jobs),
            tally: cursor.tally.clone(),
        })
    }

    pub(crate) fn exit_code(&self) -> u8 {
        exit_code(self.state)
    }

    /// Prints it as text, or as one object. `folder` is the option of further commands that names the folder
    /// of the state, empty for the usual one; `None` if no further command can reach the run.
    pub(crate) fn show(&self, json_only: bool, folder: Option<&str>) {
        if json_only {
            return output::json(self);
        }
        self.words(folder).iter().for_each(|line| output::line(line));
    }

    /// Returns whether the last generation read all users, so that each is counted by its outcome.
    fn all_read(&self) -> bool {
        matches!(self.state, State::Complete | State::CompleteWithErrors)
    }

    /// Returns both numbers, if Intercom's count differs from the list of a run that read all of it.
    fn differs(&self) -> Option<String> {
        let count = self.count.filter(|count| self.all_read() && *count != self.users)?;
        Some(format!(
            "  Intercom counts {count} users and listed {}: users may have been added or deleted in between",
            self.users
        ))
    }

    fn words(&self, folder: Option<&str>) -> Vec<String> {
        let took = output::duration(Duration::from_secs(self.seconds));
        let ended = if self.state.ended() { "ended" } else { "is" };
        let mut lines = vec![format!("Run {} {ended} {} after {took}.", self.run, self.state)];
        lines.extend(self.reason.iter().map(|reason| format!("  {reason}")));
        lines.extend(next::earlier(self));
        lines.extend(self.saved.iter().map(|saved| format!("  It wrote {}.", saved.words())));
        lines.extend(output::api(self.api, self.api_reason.as_deref()));
        lines.push(format!("  {}", self.outcomes()));
        if self.jobs > 0 {
            lines.push(format!("  {}", self.sending()));
        }
        lines.extend(self.read_back.as_ref().map(read_back));
        lines.extend(self.set_again.iter().map(|often| format!("  Warning: {}", often.words(false))));
        lines.extend(kinds(&self.errors_by_code));
        lines.extend(self.differs());
        lines.extend(possibly_lost(self.jobs_possibly_lost));
        lines.extend(skip_reasons(&self.tally.skip_reasons, &self.tally.missed));
        lines.extend(self.jobs_by_bucket());
        lines.extend(self.next(folder));
        lines
    }

    /// For example `2000 users read: 1674 written, 326 unchanged, 0 skipped, 0 failed`.
    fn outcomes(&self) -> String {
        let Counted { written, unchanged, skipped, failed, pending, .. } = self.counted;
        // The page at which a run fails is read, and not counted by its cursor.
        let read = count(self.users.max(self.counted.known() + pending), "user");
        if self.generations > 1 && !self.all_read() {
            // The outcomes cover all passes, and the last one did not read all users.
            return format!("pass {} read {read}; in all {written} written, {failed} failed", self.generations);
        }
        let pending = match pending {
            0 => String::new(),
            pending if self.sent == 0 => format!(", {pending} not sent"),
            pending => format!(", {pending} without a known outcome"),
        };
        let rare = output::rare(&self.counted);
        format!(
            "{read} read: {written} written, {unchanged} unchanged, {skipped} skipped, {failed} failed{rare}{pending}"
        )
    }

    fn sending(&self) -> String {
        let open = still_open(self.jobs_open, self.state.ended());
        let again = match self.patches.saturating_sub(self.sent) {
            0 => String::new(),
            again => format!(" and {} sent again", count(again, "item")),
        };
        let passes = if self.generations > 1 { format!(", {} passes", self.generations) } else { String::new() };
        format!("{} sent{again}{}{passes}{open}", count(self.sent, "user"), self.sent_in)
    }

    fn jobs_by_bucket(&self) -> Vec<String> {
        if self.buckets.is_empty() {
            return Vec::new();
        }
        let mut lines = vec!["  Jobs by bucket (minute of creation):".to_owned()];
        let hidden = self.buckets.len().saturating_sub(BUCKETS_SHOWN);
        for (index, (bucket, jobs)) in self.buckets.iter().enumerate() {
            if hidden > 0 && index == BUCKETS_SHOWN / 2 {
                lines.push(format!("    … {}; `jobs` lists them", count(hidden as u64, "more bucket")));
            }
            if hidden > 0 && (BUCKETS_SHOWN / 2..BUCKETS_SHOWN / 2 + hidden).contains(&index) {
                continue;
            }
            let some = jobs.first().map_or("", String::as_str);
            let more = if jobs.len() > 1 { " …" } else { "" };
            lines.push(format!("    {bucket}  {}: {some}{more}", count(jobs.len() as u64, "job")));
        }
        lines
    }

    /// Returns the next steps for the user.
    fn next(&self, folder: Option<&str>) -> Vec<String> {
        let mut lines = Vec::new();
        if self.state == State::Failed && self.sent > 0 {
            lines.push(next::sent(self.sent, self.counted.written));
        }
        let repeated = Repeated::of(self);
        lines.extend(folder.into_iter().flat_map(|folder| repeated.retry(folder)));
        lines.extend(next::step(self, folder.unwrap_or_default()));
        lines.extend(folder.and_then(|folder| repeated.undo(folder)));
        lines
    }
}

/// The limits that end or pause a run, as flags.
const LIMITS: [&str; 4] = ["--max-changes", "--max-errors", "--then-pause", "--accept-unseen"];

/// Returns the reasons of skipped users or values, and the table keys that were missing most often.
pub(crate) fn skip_reasons(reasons: &BTreeMap<String, u64>, missed: &BTreeMap<String, u64>) -> Vec<String> {
    let times = |(word, users): (&String, &u64)| format!("{} ×{users}", word.replace('_', " "));
    let mut lines = Vec::new();
    if !reasons.is_empty() {
        let reasons: Vec<String> = reasons.iter().map(times).collect();
        lines.push(format!("  Skipped because: {}", reasons.join(", ")));
    }
    if !missed.is_empty() {
        let mut missed: Vec<_> = missed.iter().collect();
        missed.sort_by_key(|(_, users)| std::cmp::Reverse(**users));
        let words: Vec<String> = missed.iter().map(|(key, users)| format!("{key} ×{users}")).collect();
        lines.push(format!("  Not in the table: {}", words.join(", ")));
    }
    lines
}

/// Returns a note on jobs without a known end, if there are any.
pub(crate) fn still_open(jobs: u64, ended: bool) -> String {
    let open = count(jobs, "job");
    match (jobs, ended) {
        (0, _) => String::new(),
        (_, false) => format!("; {open} open"),
        (_, true) => format!("; {open} still open, which Intercom may still carry out"),
    }
}

/// Returns a note on jobs whose ids are unknown, if there may be any.
pub(crate) fn possibly_lost(jobs: u64) -> Option<String> {
    (jobs > 0).then(|| {
        format!(
            "  {} may exist in Intercom in addition: the answer with the id was lost. The users were submitted again.",
            count(jobs, "bulk job")
        )
    })
}

#[cfg(test)]
mod tests;
