//! The result of a dry run.

use std::collections::BTreeMap;
use std::time::Duration;

use intercom_bulk::domain::api::{ApiVersion, Writing};
use intercom_bulk::domain::patch::Patch;
use intercom_bulk::domain::run::{Cursor, OftenAgain, Run, State};
use intercom_bulk::ledger::{Changes, Ledger, LedgerError, SAMPLE};
use intercom_bulk::plan::Plan;
use intercom_bulk::rate_limit::{Lane, MINUTE_MS, Quota, WINDOW_MS};
use serde::Serialize;

use crate::changed::Changed;
use crate::error_kinds::{self, Kind, kinds};
use crate::output::{self, count};
use crate::saved::Written;
use crate::summary::{exit_code, skip_reasons};
use intercom_bulk_emulator::cost::Used;

/// Maximum number of shown changes.
const SHOWN: usize = 10;

/// The result of a dry run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Found {
    pub(crate) plan: String,
    /// The end state of the dry run.
    pub(crate) state: State,
    pub(crate) users: u64,
    /// Users that would change.
    pub(crate) to_change: u64,
    /// Users whose values are already right.
    pub(crate) same: u64,
    /// Users that the plan's rules skip.
    pub(crate) skipped: u64,
    /// Skipped values and users, by reason.
    #[serde(rename = "left_alone")]
    pub(crate) skip_reasons: BTreeMap<String, u64>,
    /// Failed users.
    pub(crate) errors: u64,
    pub(crate) errors_by_code: BTreeMap<String, Kind>,
    /// Paths that the plan reads and no user has, like `user.custom_attributes.plan`.
    pub(crate) unseen: Vec<String>,
    /// Parts of the plan that are valid but rarely intended.
    pub(crate) warnings: Vec<String>,
    /// The table keys that were missing most often.
    pub(crate) missed: BTreeMap<String, u64>,
    /// Minimum number of bulk jobs for the changes.
    pub(crate) jobs: u64,
    /// Users are written by a request each.
    #[serde(skip)]
    pub(crate) one_by_one: bool,
    /// Seconds of submitting at the quota and the pace.
    pub(crate) seconds_at_quota: u64,
    /// Seconds of reading the users to change by id at the quota, as a run of the saved preview does.
    #[serde(skip)]
    pub(crate) reading_s: u64,
    /// The most users per minute, if a pace is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_per_minute: Option<u64>,
    /// The run's cost on AWS, in US dollars at list prices.
    pub(crate) aws_dollars: f64,
    /// Targets that would be set again for most users that the previous run wrote.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) set_again: Vec<OftenAgain>,
    /// Custom attributes that a run with `--create-attributes` would create, each with its type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) would_create: Vec<String>,
    /// Some of the changes.
    pub(crate) sample: Vec<Changed>,
    /// The version of the API that a run would have, and the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api: Option<ApiVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_reason: Option<String>,
    /// The file of its changes, if they are saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) saved: Option<Written>,
    /// The reason of the dry run's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl Found {
    /// Creates it from the rows of a dry run.
    pub(crate) async fn read(
        ledger: &Ledger,
        plan: &Plan,
        run: &Run,
        cursor: &Cursor,
        quota: Quota,
    ) -> Result<Self, LedgerError> {
        let tally = &cursor.tally;
        let sample = sample(ledger, run).await?;
        let reach = u64::from(quota.reach(Lane::Submit { reads: false }));
        let pace = run.limits.max_per_minute.map(|pace| u64::from(pace.get()));
        let at_quota = tally.patches.div_ceil(reach) * (WINDOW_MS as u64 / 1000);
        let at_pace = pace.map_or(0, |pace| tally.patches.div_ceil(pace) * (MINUTE_MS as u64 / 1000));
        let seconds = at_quota.max(at_pace);
        let most = run.api.capabilities().write_users_max as u64;
        // With a pace, a job has only users of one minute.
        let minute = pace.unwrap_or(u64::MAX);
        let jobs = tally.patches / minute * minute.div_ceil(most) + (tally.patches % minute).div_ceil(most);
        let used = Used::estimate(f64::from(cursor.page), jobs as f64, seconds as f64);
        Ok(Self {
            plan: run.plan.clone(),
            state: run.state,
            users: tally.users,
            to_change: tally.patches,
            same: tally.same,
            skipped: tally.skipped,
            skip_reasons: tally.skip_reasons.clone(),
            errors: tally.errors,
            errors_by_code: error_kinds::read(ledger, run).await?,
            unseen: unseen(plan, cursor),
            warnings: plan.warnings().to_vec(),
            missed: tally.missed.clone(),
            jobs,
            one_by_one: run.api.capabilities().write == Writing::Answers,
            seconds_at_quota: seconds,
            reading_s: at_quota,
            max_per_minute: pace,
            aws_dollars: used.dollars(),
            set_again: tally.set_again.most(),
            would_create: Vec::new(),
            sample,
            saved: None,
            api: run.version,
            api_reason: run.version_reason.clone(),
            reason: run.reason.as_deref().map(output::flags),
        })
    }

    /// Returns 2 if something would change, 3 if the dry run did not see all users.
    pub(crate) fn exit_code(&self) -> u8 {
        preview_code(self.state, self.to_change, self.errors)
    }

    /// Prints it as text, or as one object.
    pub(crate) fn show(&self, json_only: bool) {
        if json_only {
            return output::json(self);
        }
        self.words().iter().for_each(|line| output::line(line));
    }

    fn words(&self) -> Vec<String> {
        let cut = cut(self.state, self.reason.as_deref());
        let so_far = if cut.is_some() { " so far" } else { "" };
        let mut lines = Vec::from_iter(cut);
        lines.push(format!("Plan {}: {} of {} users{so_far} would change.", self.plan, self.to_change, self.users));
        lines.extend(output::api(self.api, self.api_reason.as_deref()));
        lines.push(format!("  {} unchanged, {} skipped, {} failed", self.same, self.skipped, self.errors));
        lines.extend(kinds(&self.errors_by_code));
        if !self.unseen.is_empty() {
            lines.push(format!(
                "  Warning: none of these {} users has {}, which the plan reads: is the spelling right? `run` pauses when none \
                 of the first 1,000 users has it, unless --accept-unseen",
                self.users,
                self.unseen.join(", ")
            ));
        }
        lines.extend(self.set_again.iter().map(|often| format!("  Warning: {}", often.words(true))));
        lines.extend(self.warnings.iter().map(|warning| format!("  Warning: {warning}")));
        lines.extend(skip_reasons(&self.skip_reasons, &self.missed));
        if !self.would_create.is_empty() {
            let names = self.would_create.join(", ");
            lines.push(format!("  `run --create-attributes` creates {names} first; `run` alone is refused"));
        }
        if self.to_change > 0 {
            let took = output::duration(Duration::from_secs(self.seconds_at_quota));
            let requests =
                if self.one_by_one { count(self.to_change, "request") } else { count(self.jobs, "bulk job") };
            lines.push(format!("  {requests}, {took} at {}", self.speed()));
            lines.push("  Some of the changes:".to_owned());
            lines.extend(self.sample.iter().flat_map(Changed::words));
        }
        lines.extend(self.saved.iter().map(|saved| self.saved_words(saved)));
        lines
    }
}

impl Found {
    fn speed(&self) -> String {
        self.max_per_minute.map_or("the quota".to_owned(), |pace| format!("{pace} users a minute or less"))
    }

    /// Returns the note on a saved preview. Its run reads each user by a request before it writes.
    fn saved_words(&self, saved: &Written) -> String {
        let file = saved.file.display();
        let took = output::duration(Duration::from_secs(self.reading_s + self.seconds_at_quota));
        format!(
            "  Saved to {file}, which has personal data. `intercom-bulk run PLAN --saved {file}` reads these users again, and \
             writes those whose values are as in the preview: {took} or more at {}",
            self.speed()
        )
    }
}

/// Returns the exit code of a preview: 0 if nothing would change, 2 if something would, otherwise that of the
/// run's state.
pub(crate) fn preview_code(state: State, to_change: u64, errors: u64) -> u8 {
    match state {
        State::Complete | State::CompleteWithErrors if to_change == 0 && errors == 0 => 0,
        State::Complete | State::CompleteWithErrors => 2,
        state => exit_code(state),
    }
}

/// Returns the note on a preview that did not see all users.
pub(crate) fn cut(state: State, reason: Option<&str>) -> Option<String> {
    let is_whole = matches!(state, State::Complete | State::CompleteWithErrors);
    let reason = reason.unwrap_or("no reason is recorded");
    (!is_whole).then(|| format!("The preview is not complete ({state}): {reason}"))
}

/// Returns some of the changes of a preview.
pub(crate) async fn sample(ledger: &Ledger, run: &Run) -> Result<Vec<Changed>, LedgerError> {
    let kept = match ledger.changes(&run.id, SAMPLE).await {
        Ok(kept) => kept,
        Err(LedgerError::Missing { .. }) => Changes::default(),
        Err(error) => return Err(error),
    };
    Ok(kept.parts.iter().flat_map(|part| &part.patches).take(SHOWN).map(Changed::from).collect())
}

/// Returns the paths that the plan reads and none of the read users has.
fn unseen(plan: &Plan, cursor: &Cursor) -> Vec<String> {
    if cursor.tally.users == 0 {
        return Vec::new();
    }
    plan.unseen(cursor.attributes_seen).into_iter().map(str::to_owned).collect()
}

/// Returns changes as lines, before → after, of at most ten users.
pub(crate) fn changes(patches: &[Patch]) -> Vec<String> {
    patches.iter().take(SHOWN).flat_map(|patch| Changed::from(patch).words()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(state: State) -> Found {
        Found {
            one_by_one: false,
            saved: None,
            set_again: Vec::new(),
            would_create: vec!["\"has avatar\" (boolean)".to_owned()],
            plan: "p".to_owned(),
            state,
            users: 200,
            to_change: 0,
            same: 0,
            skipped: 0,
            skip_reasons: BTreeMap::new(),
            errors: 0,
            errors_by_code: BTreeMap::new(),
            unseen: Vec::new(),
            warnings: Vec::new(),
            missed: BTreeMap::new(),
            jobs: 0,
            seconds_at_quota: 0,
            reading_s: 0,
            max_per_minute: None,
            aws_dollars: 0.0,
            sample: Vec::new(),
            api: None,
            api_reason: None,
            reason: Some("it could not be reached".to_owned()),
        }
    }

    #[test]
    fn only_a_complete_dry_run_reports_the_changes() {
        let code = |state, to_change| Found { to_change, ..found(state) }.exit_code();
        assert_eq!((code(State::Complete, 0), code(State::Complete, 5)), (0, 2));
        assert_eq!((code(State::Incomplete, 5), code(State::Failed, 5), code(State::Paused, 5)), (3, 1, 4));
        let words = found(State::Incomplete).words();
        assert_eq!(words[0], "The preview is not complete (incomplete): it could not be reached");
        let creates = "`run --create-attributes` creates \"has avatar\" (boolean) first";
        assert!(words.iter().any(|line| line.contains(creates)), "{words:?}");
    }

    /// A pace slows the writes alone.
    #[test]
    fn saved_preview_says_how_long_its_run_takes() {
        let saved = Some(Written { file: "p.jsonl".into(), users: 1_204 });
        let saved = Found { to_change: 1_204, saved, seconds_at_quota: 20, reading_s: 20, ..found(State::Complete) };
        let last = |found: &Found| found.words().pop().unwrap();
        assert!(last(&saved).ends_with("as in the preview: 40 s or more at the quota"), "{}", last(&saved));
        let slow = Found { seconds_at_quota: 2_460, max_per_minute: Some(30), ..saved };
        assert!(last(&slow).ends_with("41 min 20 s or more at 30 users a minute or less"), "{}", last(&slow));
    }
}
